//! The instructions of a request that is answered from memory, counted by callgrind.
//!
//! Server and client run on one thread, and only this thread is counted, only while it is in `repeat`. The bare
//! handler goes through the same client, HTTP server and runtime. `bench_gate.sh` runs this and compares the numbers.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot go on fails")]
#![expect(missing_docs, reason = "the macros of gungraun make public items")]

#[expect(dead_code, reason = "`benches/warm_path.sh` runs the rest")]
mod bare;
#[path = "../tests/costs/client.rs"]
mod client;
#[expect(dead_code, reason = "`tests/costs` reads the counts")]
#[path = "../tests/costs/clock.rs"]
mod clock;
#[expect(dead_code, reason = "the store's tests use the rest")]
#[path = "../tests/support/database.rs"]
mod database;
#[expect(dead_code, reason = "the tests over HTTP use the rest")]
#[path = "../tests/support/harness.rs"]
mod harness;
#[expect(dead_code, reason = "the tests over HTTP use the rest")]
#[path = "../tests/support/response.rs"]
mod response;
#[expect(dead_code, reason = "`tests/costs` reads the clock")]
#[path = "../tests/costs/warm.rs"]
mod warm;

use gungraun::{
    Callgrind, EntryPoint, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use self::client::{Client, runtime};
use self::harness::Harness;
use self::warm::{WarmRequest, refill_rate_limit};

/// Requests before the count begins, and requests that are counted. Each is less than the burst of 100 that a browser
/// session may send.
const WARM_UP: usize = 90;
const COUNTED: usize = 90;

/// The answer of the bare handler, as long as a token's.
const BARE_ANSWER: &str = concat!(
    r#"{"access_token":"0123456789abcdef0123456789abcdef","token_type":"bearer","expires_in":3600,"#,
    r#""subject":{"type":"enterprise","id":"1001"}}"#
);

/// A client, and all that keeps its server alive.
struct Scene {
    runtime: Runtime,
    client: Client,
    _broker: Option<Harness>,
}

fn service() -> Scene {
    broker(WarmRequest::service())
}

fn page() -> Scene {
    broker(WarmRequest::page())
}

fn broker(request: impl Future<Output = WarmRequest>) -> Scene {
    let runtime = runtime();
    let WarmRequest { harness, client, .. } = runtime.block_on(request);
    let mut scene = Scene { runtime, client, _broker: None };
    (0..WARM_UP).for_each(|_| request_once(&mut scene));
    refill_rate_limit(&harness);
    Scene { _broker: Some(harness), ..scene }
}

fn bare() -> Scene {
    let runtime = runtime();
    let client = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, bare::router(BARE_ANSWER.into())).await.unwrap() });
        let request = "POST /v1/tenants/acme/token HTTP/1.1\r\nhost: broker\r\ncontent-length: 0\r\n\
                       authorization: Bearer btb_0123456789abcdefghijklmnopqrstuvwxyz0123456789ABCD\r\n\r\n";
        Client::connect(address, request.to_owned()).await
    });
    let mut scene = Scene { runtime, client, _broker: None };
    (0..WARM_UP).for_each(|_| request_once(&mut scene));
    scene
}

/// Sends the request and waits for the answer.
fn request_once(scene: &mut Scene) {
    scene.runtime.block_on(scene.client.call());
}

/// Sends the request and waits for the answer. Callgrind counts the instructions of each call of this function.
#[inline(never)]
fn counted_request(scene: &mut Scene) {
    request_once(scene);
}

#[library_benchmark]
#[bench::bare(bare())]
#[bench::service(service())]
#[bench::page(page())]
fn requests(mut scene: Scene) -> Scene {
    (0..COUNTED).for_each(|_| counted_request(&mut scene));
    scene
}

library_benchmark_group!(name = warm_path, benchmarks = requests);
main!(
    config = LibraryBenchmarkConfig::default().tool(
        Callgrind::with_args(["--dump-after=bench_gate::counted_request", "--separate-threads=no", "--cache-sim=no"])
            .entry_point(EntryPoint::Custom("bench_gate::counted_request".to_owned()))
    );
    library_benchmark_groups = warm_path
);
