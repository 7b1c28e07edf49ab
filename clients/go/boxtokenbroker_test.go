package boxtokenbroker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

const key = "btb_test_4mWg9cKexample"

var ctx = context.Background()

// reply is what the server that stands for the broker answers with.
type reply struct {
	status int
	header map[string]string
	body   string
}

// bench is such a server, a clock, and a source of its tokens.
type bench struct {
	*Source
	t      *testing.T
	server *httptest.Server

	mutex  sync.Mutex
	script []reply
	paths  []string
	auths  []string
	bodies []string
	tokens int
	time   time.Time
	slept  []time.Duration
	gate   chan struct{}
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, time: time.Unix(1_700_000_000, 0), gate: make(chan struct{})}
	close(b.gate)
	b.server = httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(b.server.Close)
	b.Source = b.source(b.server.URL, "acme", Key(key), Options{})
	return b
}

func (b *bench) source(url, tenant string, credential Credential, options Options) *Source {
	source, err := NewWith(url, tenant, credential, options)
	if err != nil {
		b.t.Fatal(err)
	}
	source.broker.now = func() time.Time { b.mutex.Lock(); defer b.mutex.Unlock(); return b.time }
	source.broker.sleep = func(_ context.Context, pause time.Duration) error {
		b.mutex.Lock()
		b.slept = append(b.slept, pause)
		b.mutex.Unlock()
		b.pass(pause)
		return nil
	}
	return source
}

func (b *bench) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	b.mutex.Lock()
	b.paths = append(b.paths, r.URL.EscapedPath())
	b.auths = append(b.auths, r.Header.Get("Authorization"))
	b.bodies = append(b.bodies, string(body))
	answer := reply{}
	if len(b.script) > 0 {
		answer, b.script = b.script[0], b.script[1:]
	} else {
		b.tokens++
		answer = token(fmt.Sprintf("token-%d", b.tokens), "")
	}
	gate := b.gate
	b.mutex.Unlock()
	<-gate
	for name, value := range answer.header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(answer.status)
	_, _ = io.WriteString(w, answer.body)
}

// token lives an hour and is to be renewed ten minutes before its end. Its broker's clock is far from
// the client's: only differences may count.
func token(text, more string) reply {
	return reply{200, nil, `{"access_token":"` + text + `","token_type":"bearer","expires_in":3600,` +
		`"expires_at":"2001-01-01T01:00:00Z","refresh_at":"2001-01-01T00:50:00Z"` + more + `}`}
}

func problem(status int, code, retry, after, more string) reply {
	header := map[string]string{"Content-Type": "application/problem+json"}
	if after != "" {
		header["Retry-After"] = after
	}
	return reply{status, header, fmt.Sprintf(`{"title":"A title","status":%d,"code":"%s","detail":"What is wrong.",`+
		`"request_id":"req_1","retry":"%s"%s}`, status, code, retry, more)}
}

func (b *bench) pass(time time.Duration) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.time = b.time.Add(time)
}

func (b *bench) gives(text string) {
	b.t.Helper()
	got, err := b.Token(ctx)
	if err != nil || got.AccessToken.Text() != text {
		b.t.Fatalf("want %s, got an error %v or another token", text, err)
	}
}

func told(got *Token, err error) string {
	if err != nil {
		return err.Error()
	}
	return got.AccessToken.Text()
}

func (b *bench) refuses() *Error {
	b.t.Helper()
	_, err := b.Token(ctx)
	var refusal *Error
	if !errors.As(err, &refusal) {
		b.t.Fatalf("want a refusal, got %v", err)
	}
	return refusal
}

func (b *bench) same(got, want any) {
	b.t.Helper()
	if !reflect.DeepEqual(got, want) {
		b.t.Fatalf("got %v, want %v", got, want)
	}
}

func TestATokenIsAskedForOnceAndKeptUntilItIsToBeRenewed(t *testing.T) {
	b := newBench(t)
	for i := 0; i < 3; i++ {
		b.gives("token-1")
	}
	b.same(b.paths, []string{"/v1/tenants/acme/token"})
	b.same(b.auths, []string{"Bearer " + key})
	b.pass(2999 * time.Second)
	b.gives("token-1")
	b.pass(2 * time.Second)
	b.gives("token-2")
	b.same(b.bodies, []string{"{}", "{}"})
}

func TestAUserALeastLifeAndABeneficiaryAreAskedFor(t *testing.T) {
	b := newBench(t)
	options := Options{UserID: "123", MinTTL: 15 * time.Minute, OnBehalfOf: "ann"}
	user := b.source(b.server.URL+"/", "acme", Key(key), options)
	for _, source := range []*Source{user, user.ForUser("456")} {
		if _, err := source.Token(ctx); err != nil {
			t.Fatal(err)
		}
	}
	more := `"min_ttl":900,"on_behalf_of":"ann"}`
	b.same(b.bodies, []string{
		`{"subject":{"type":"user","id":"123"},` + more, `{"subject":{"type":"user","id":"456"},` + more,
	})
}

func TestManyShareOneRequestAndItsFailure(t *testing.T) {
	b := newBench(t)
	b.gate = make(chan struct{})
	b.script = []reply{problem(403, "forbidden", "never", "", "")}
	mine, _ := b.board(Secret{}, false)
	go b.fly(mine)
	failures := make(chan error, 20)
	for i := 0; i < cap(failures); i++ {
		other, there := b.board(Secret{}, false)
		b.same(other, (*flight)(nil))
		go func() { <-there.done; failures <- there.err }()
	}
	close(b.gate)
	for i := 0; i < cap(failures); i++ {
		b.same((<-failures).(*Error).Code, "forbidden")
	}
	b.same(len(b.bodies), 1)
}

func TestWhoeverGivesUpLeavesTheRequestToTheOthers(t *testing.T) {
	b := newBench(t)
	b.gate = make(chan struct{})
	hurried, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := b.Token(hurried); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	close(b.gate)
	b.gives("token-1")
	b.same(len(b.bodies), 1)
}

func TestA401IsReportedAndTheAnswerUsed(t *testing.T) {
	b := newBench(t)
	dead, _ := b.Token(ctx)
	for i := 0; i < 2; i++ {
		fresh, err := b.Rejected(ctx, dead)
		if err != nil {
			t.Fatal(err)
		}
		b.same(fresh.AccessToken.Text(), "token-2")
	}
	b.gives("token-2")
	b.same(b.bodies, []string{"{}", `{"rejected":"token-1"}`})
}

func TestForgettingEndsNobodyElsesToken(t *testing.T) {
	b := newBench(t)
	b.gives("token-1")
	b.Forget()
	b.same(len(b.bodies), 1)
	b.gives("token-2")
}

func TestDownscopedTokensComeWithTheirRestrictionsAndAreNotKept(t *testing.T) {
	b := newBench(t)
	b.script = []reply{token("narrow", `,"restricted_to":[{"scope":"item_preview","object":{"type":"file","id":"5"}}]`)}
	narrow, err := b.Downscope(ctx, []string{"item_preview"}, &Resource{"file", "5"})
	if err != nil {
		t.Fatal(err)
	}
	b.same(narrow.AccessToken.Text(), "narrow")
	b.same(narrow.RestrictedTo, []Restriction{{"item_preview", Resource{"file", "5"}}})
	b.same(b.paths, []string{"/v1/tenants/acme/token/downscoped"})
	b.same(b.bodies, []string{`{"scopes":["item_preview"],"resource":{"type":"file","id":"5"}}`})
	b.gives("token-1")
	if _, err := b.DownscopeAgain(ctx, []string{"item_preview"}, nil, narrow); err != nil {
		t.Fatal(err)
	}
	b.same(b.bodies[2], `{"rejected":"narrow","scopes":["item_preview"]}`)
}

func TestARefusalTellsWhatIsWrongAndWhatToDo(t *testing.T) {
	b := newBench(t)
	b.script = []reply{
		problem(424, "app_not_authorized", "admin", "", `,"fix":"Authorize the app."`),
		problem(422, "invalid", "never", "", `,"errors":[{"pointer":"/subject/id","detail":"Digits."}]`),
	}
	refusal := b.refuses()
	b.same(refusal.Status, 424)
	b.same(refusal.Error(), "app_not_authorized: What is wrong. Authorize the app. (request req_1)")
	b.same(b.refuses().Detail, "What is wrong. /subject/id: Digits.")
	b.same(len(b.bodies), 2)
}

func TestRetryAfterIsObeyedWithinTheBound(t *testing.T) {
	b := newBench(t)
	busy := problem(503, "upstream_unavailable", "after", "7", "")
	b.script = []reply{busy, busy}
	b.gives("token-1")
	b.same(b.slept, []time.Duration{7 * time.Second, 7 * time.Second})
	b.Forget()
	b.script = []reply{problem(429, "rate_limited", "after", "31", "")}
	b.same(b.refuses().RetryAfter, 31*time.Second)
	b.same(len(b.slept), 2)
}

func TestAFailedRenewalKeepsTheLivingToken(t *testing.T) {
	b := newBench(t)
	b.gives("token-1")
	b.pass(3001 * time.Second)
	b.script = []reply{problem(503, "store_unavailable", "after", "20", "")}
	for i := 0; i < 3; i++ {
		b.gives("token-1")
	}
	b.same(len(b.bodies), 2)
	b.same(len(b.slept), 0)
	b.pass(21 * time.Second)
	b.gives("token-2")
}

func TestABrokerThatHangsDoesNotHoldUpThoseWhoseTokenLives(t *testing.T) {
	b := newBench(t)
	b.gives("token-1")
	b.pass(3001 * time.Second)
	b.gate = make(chan struct{})
	defer close(b.gate)
	b.script = []reply{token("late", "")}
	done := make(chan string)
	go func() {
		done <- told(b.Token(ctx))
	}()
	select {
	case told := <-done:
		b.same(told, "token-1")
	case <-time.After(6 * time.Second):
		t.Fatal("it waits for the broker")
	}
	b.gives("token-1")
	b.same(len(b.bodies), 2)
}

func TestWhoeverHoldsNothingWaitsLongerThanARenewal(t *testing.T) {
	b := newBench(t)
	b.gives("token-1")
	b.pass(3001 * time.Second)
	b.script = []reply{problem(503, "store_unavailable", "after", "7", "")}
	renewal, _ := b.board(Secret{}, true)
	b.Forget()
	late := &joining{Context: ctx, joined: make(chan struct{})}
	given := make(chan string)
	go func() {
		given <- told(b.Source.Token(late))
	}()
	<-late.joined
	b.fly(renewal)
	b.same(<-given, "token-2")
}

// joining is a context that tells when somebody waits with it.
type joining struct {
	context.Context
	once   sync.Once
	joined chan struct{}
}

func (j *joining) Done() <-chan struct{} {
	j.once.Do(func() { close(j.joined) })
	return j.Context.Done()
}

func TestATokenThatEndsWhileItIsRenewedIsAskedForWithPatience(t *testing.T) {
	b := newBench(t)
	b.gives("token-1")
	b.pass(3001 * time.Second)
	b.mutex.Lock()
	b.gate = make(chan struct{})
	b.script = []reply{problem(503, "store_unavailable", "after", "7", "")}
	b.mutex.Unlock()
	waiting := &joining{Context: ctx, joined: make(chan struct{})}
	given := make(chan string)
	go func() {
		given <- told(b.Source.Token(waiting))
	}()
	<-waiting.joined
	b.pass(600 * time.Second)
	close(b.gate)
	b.same(<-given, "token-2")
}

func TestARenewalThatIsRefusedEndsTheUseOfTheToken(t *testing.T) {
	b := newBench(t)
	b.gives("token-1")
	b.pass(3001 * time.Second)
	b.script = []reply{problem(404, "not_found", "never", "", "")}
	b.same(b.refuses().Code, "not_found")
}

func TestABrokerThatIsAwayIsTriedAgainAndNamed(t *testing.T) {
	b := newBench(t)
	b.server.Close()
	refusal := b.refuses()
	b.same(refusal.Code, "unreachable")
	b.same(strings.Contains(refusal.Error(), b.server.URL), true)
	b.same(len(b.slept), 5)
}

func TestSomethingThatIsNoBrokerIsCalledSo(t *testing.T) {
	b := newBench(t)
	page := "<html>token-secret</html>"
	answers := []reply{{404, nil, page}, {200, nil, page}, {200, nil, "[]"}, {200, nil, "{}"}, token("a secret", ""),
		{200, nil, strings.Repeat("secret, ", 1<<20)}}
	for _, answer := range answers {
		b.script = []reply{answer}
		refusal := b.refuses()
		b.same(refusal.Code, "no_broker")
		b.same(strings.Contains(refusal.Error(), "secret"), false)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	b, other := newBench(t), newBench(t)
	for _, status := range []int{302, 307, 308} {
		b.script = []reply{{status, map[string]string{"Location": other.server.URL}, ""}}
		b.same(b.refuses().Status, status)
	}
	b.same(len(other.bodies), 0)
}

func TestACredentialMayComeFromAFunctionEachTime(t *testing.T) {
	b := newBench(t)
	times := 0
	credential := func(context.Context) (string, error) { times++; return fmt.Sprintf("jwt-%d\n", times), nil }
	source := b.source(b.server.URL, "acme", credential, Options{})
	for i := 0; i < 2; i++ {
		if _, err := source.Token(ctx); err != nil {
			t.Fatal(err)
		}
		source.Forget()
	}
	b.same(b.auths, []string{"Bearer jwt-1", "Bearer jwt-2"})
	failing := errors.New("no file")
	credential = func(context.Context) (string, error) { return "", failing }
	if _, err := b.source(b.server.URL, "acme", credential, Options{}).Token(ctx); !errors.Is(err, failing) {
		t.Fatalf("got %v", err)
	}
}

func TestACredentialThatCannotBeOneIsNotShown(t *testing.T) {
	b := newBench(t)
	for _, bad := range []string{"secret\r\nHost: x", "secret ü", ""} {
		b.Source = b.source(b.server.URL, "acme", Key(bad), Options{})
		refusal := b.refuses()
		b.same(refusal.Code, "no_credential")
		b.same(strings.Contains(refusal.Error(), "secret"), false)
	}
	b.same(len(b.bodies), 0)
}

func TestAnAddressThatCannotBeOneIsRefusedAtOnce(t *testing.T) {
	for _, url := range []string{"broker.example.com", "ftp://broker", "https://user:pass@broker", "https://:pass@broker", "",
		"https://broker/#x", "https://broker#", "https://broker?x=1", "https://broker/?"} {
		if _, err := New(url, "acme", Key(key)); err == nil || strings.Contains(err.Error(), "pass") {
			t.Fatalf("%s: %v", url, err)
		}
	}
	if _, err := New("https://broker", "", Key(key)); err == nil {
		t.Fatal("a tenant without a name")
	}
	b := newBench(t)
	b.Source = b.source(b.server.URL, "../acme?x", Key(key), Options{})
	b.gives("token-1")
	b.same(b.paths, []string{"/v1/tenants/..%2Facme%3Fx/token"})
}

func TestNeitherTokenNorKeyShows(t *testing.T) {
	b := newBench(t)
	b.gives("token-1")
	held, _ := b.now()
	hidden := struct {
		whole Token
		text  Secret
	}{*held, held.AccessToken}
	shown := []any{held, *held, hidden, &hidden, held.AccessToken, []Secret{held.AccessToken}, b.Source}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U", "%t", "%e", "%p"} {
		for _, value := range shown {
			b.hides(verb, fmt.Sprintf(verb, value))
		}
	}
	text, err := json.Marshal(held)
	b.same(err, nil)
	b.hides("JSON", string(text))
}

// hides looks for a token's letters as such, as hexadecimal digits and as decimal numbers.
func (b *bench) hides(how, text string) {
	b.t.Helper()
	for _, form := range []string{"%s", "%x", "%X", "%d", "%o", "%b", "%U"} {
		letters := strings.Trim(fmt.Sprintf(form, []byte("token-1")), "[]")
		if strings.Contains(text, letters) {
			b.t.Fatalf("%s shows it: %s", how, text)
		}
	}
}
