package boxtokenbroker

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// box stands for Box: it takes the tokens that are alive, and tells what it saw.
type box struct {
	*httptest.Server
	mutex sync.Mutex
	dead  map[string]bool
	seen  []string
}

func newBox(t *testing.T) *box {
	b := &box{dead: map[string]bool{}}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		b.mutex.Lock()
		defer b.mutex.Unlock()
		auth := r.Header.Get("Authorization")
		b.seen = append(b.seen, strings.TrimSpace(auth+" "+string(body)))
		if b.dead[auth] {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

func TestATransportSendsEachRequestWithATokenAndTriesA401Again(t *testing.T) {
	b, box := newBench(t), newBox(t)
	client := &http.Client{Transport: b.Transport(nil, box.URL)}
	post := func(body io.Reader) int {
		request, _ := http.NewRequest(http.MethodPost, box.URL+"/2.0/folders", body)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		b.same(request.Header.Get("Authorization"), "")
		return response.StatusCode
	}
	b.same(post(nil), 200)
	box.dead["Bearer token-1"] = true
	b.same(post(strings.NewReader("folder")), 200)
	box.dead["Bearer token-2"] = true
	b.same(post(io.NopCloser(strings.NewReader("stream"))), 401)
	b.same(post(nil), 200)
	b.same(box.seen, []string{
		"Bearer token-1", "Bearer token-1 folder", "Bearer token-2 folder", "Bearer token-2 stream", "Bearer token-3",
	})
	b.same(b.bodies[1:], []string{`{"rejected":"token-1"}`, `{"rejected":"token-2"}`})
}

func TestATransportGivesA401BackWhereTheTokenIsAlive(t *testing.T) {
	b, box := newBench(t), newBox(t)
	b.script = []reply{token("same", ""), token("same", "")}
	box.dead["Bearer same"] = true
	response, err := (&http.Client{Transport: b.Transport(nil, box.URL)}).Get(box.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b.same([]int{response.StatusCode, len(box.seen)}, []int{401, 1})
}

func TestATransportGivesNoTokenToOthersThanBox(t *testing.T) {
	b, box, other := newBench(t), newBox(t), newBox(t)
	transport := b.Transport(nil, box.URL)
	for url, is := range map[string]bool{
		"https://api.box.com/2.0": true, "https://upload.box.com": true, "https://box.com": true,
		"http://api.box.com": false, "https://api.box.com.example.com": false, "https://notbox.com": false,
		"https://dl.boxcloud.com": false, box.URL: true, other.URL: false,
	} {
		request, _ := http.NewRequest(http.MethodGet, url, nil)
		b.same(transport.isBox(request.URL), is)
	}
	request, _ := http.NewRequest(http.MethodGet, other.URL, nil)
	if _, err := transport.RoundTrip(request); err != nil {
		t.Fatal(err)
	}
	request, _ = http.NewRequest(http.MethodGet, box.URL, nil)
	request.Header.Set("Authorization", "Bearer own")
	if _, err := transport.RoundTrip(request); err != nil {
		t.Fatal(err)
	}
	b.same([]any{other.seen, box.seen, len(b.bodies)}, []any{[]string{""}, []string{"Bearer own"}, 0})
}

func TestATransportTellsWhyThereIsNoToken(t *testing.T) {
	b, box := newBench(t), newBox(t)
	b.script = []reply{problem(403, "forbidden", "never", "", "")}
	_, err := (&http.Client{Transport: b.Transport(nil, box.URL)}).Post(box.URL, "text/plain", strings.NewReader("x"))
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Code != "forbidden" || len(box.seen) != 0 {
		t.Fatalf("got %v", err)
	}
}
