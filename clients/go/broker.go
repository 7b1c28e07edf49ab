package boxtokenbroker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// timeout is what one request to the broker may take; the broker itself gives up after 5 s.
	timeout = 10 * time.Second
	// shortTimeout is the same for a renewal, while the token that is held lives.
	shortTimeout = 2 * time.Second
	// tries is how often one call asks the broker at most.
	tries = 6
	// longest is how many bytes of an answer are read.
	longest = 1 << 20
)

// RoundTripper is http.RoundTripper.
type RoundTripper = http.RoundTripper

// An Error says why the broker gave no token. It holds no credential and no token.
type Error struct {
	// Code names the reason for programs: forbidden, app_not_authorized, …; unreachable and
	// no_broker where nothing or something else answered.
	Code string
	// Detail tells the reason to people.
	Detail string
	// Fix is what an admin should do, where there is something.
	Fix string
	// Status is the HTTP status, 0 without an answer.
	Status int
	// RequestID finds the request in the broker's log.
	RequestID string
	// RetryAfter is when to come again; 0 where the broker does not say.
	RetryAfter time.Duration
	// Temporary is whether it may work later with nothing changed.
	Temporary bool
}

func (e *Error) Error() string {
	text := e.Code + ": " + e.Detail
	if e.Fix != "" {
		text += " " + e.Fix
	}
	if e.RequestID != "" {
		text += " (request " + e.RequestID + ")"
	}
	return text
}

// broker sends the requests for one tenant.
type broker struct {
	url        *url.URL
	credential Credential
	client     *http.Client
	now        func() time.Time
	sleep      func(context.Context, time.Duration) error
}

type request struct {
	Subject    *Resource `json:"subject,omitempty"`
	MinTTL     int64     `json:"min_ttl,omitempty"`
	OnBehalfOf string    `json:"on_behalf_of,omitempty"`
	Rejected   string    `json:"rejected,omitempty"`
	Scopes     []string  `json:"scopes,omitempty"`
	Resource   *Resource `json:"resource,omitempty"`
}

type answer struct {
	AccessToken  string        `json:"access_token"`
	ExpiresIn    int64         `json:"expires_in"`
	ExpiresAt    time.Time     `json:"expires_at"`
	RefreshAt    time.Time     `json:"refresh_at"`
	RestrictedTo []Restriction `json:"restricted_to"`
}

func newBroker(brokerURL, tenant string, credential Credential, options Options) (*broker, error) {
	url, err := tokenURL(brokerURL, tenant)
	if err != nil {
		return nil, err
	}
	transport := options.Transport
	if transport == nil {
		direct := http.DefaultTransport.(*http.Transport).Clone()
		direct.Proxy = nil
		transport = direct
	}
	client := &http.Client{
		Transport: transport,
		Timeout:   timeout,
		// No redirect: the credential goes to the broker alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &broker{url: url, credential: credential, client: client, now: time.Now, sleep: sleep}, nil
}

// hurried is the same with the short timeout.
func (b *broker) hurried() *broker {
	hurried, client := *b, *b.client
	client.Timeout = shortTimeout
	hurried.client = &client
	return &hurried
}

// token asks for a token, and for when to ask again.
func (b *broker) token(ctx context.Context, path string, asked request, maxWait time.Duration) (*Token, time.Time, error) {
	got, err := b.call(ctx, path, asked, maxWait)
	if err != nil {
		return nil, time.Time{}, err
	}
	if !credible.MatchString(got.AccessToken) || got.ExpiresAt.IsZero() || got.RefreshAt.IsZero() {
		return nil, time.Time{}, noBroker(http.StatusOK, 0)
	}
	// Only differences of the broker's times count: its clock may differ from this machine's.
	expiresAt := b.now().Add(time.Duration(got.ExpiresIn) * time.Second)
	refreshAt := expiresAt.Add(-got.ExpiresAt.Sub(got.RefreshAt))
	token := &Token{AccessToken: secret(got.AccessToken), ExpiresAt: expiresAt, RestrictedTo: got.RestrictedTo}
	return token, refreshAt, nil
}

// call asks, and asks again where the broker says to come later, for maxWait in all.
func (b *broker) call(ctx context.Context, path string, asked request, maxWait time.Duration) (*answer, error) {
	var waited time.Duration
	for attempt := 1; ; attempt++ {
		got, refusal, err := b.send(ctx, path, asked)
		if err != nil || refusal == nil {
			return got, err
		}
		pause := refusal.RetryAfter
		if pause == 0 {
			pause = time.Duration((0.5 + rand.Float64()/2) * float64(250*time.Millisecond) * float64(int(1)<<attempt))
		}
		waited += pause
		if !refusal.Temporary || waited > maxWait || attempt == tries {
			return nil, refusal
		}
		if err := b.sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// send asks once. The error is the credential's or the context's own.
func (b *broker) send(ctx context.Context, path string, asked request) (*answer, *Error, error) {
	credential, err := b.credential(ctx)
	if err != nil {
		return nil, nil, err
	}
	credential = strings.TrimSpace(credential)
	if !credible.MatchString(credential) {
		return nil, &Error{Code: "no_credential", Detail: "The credential is no API key and no OIDC token."}, nil
	}
	body, err := json.Marshal(asked)
	if err != nil {
		return nil, nil, err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url.String()+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	post.Header.Set("Authorization", "Bearer "+credential)
	post.Header.Set("Content-Type", "application/json")
	response, err := b.client.Do(post)
	if err != nil {
		return nil, b.unreachable(err), ctx.Err()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, longest))
	if err != nil {
		return nil, b.unreachable(err), ctx.Err()
	}
	got, refusal := read(response, text)
	return got, refusal, nil
}

func (b *broker) unreachable(err error) *Error {
	if wrapped, ok := err.(*url.Error); ok {
		err = wrapped.Err
	}
	detail := fmt.Sprintf("No answer from %s://%s: %v.", b.url.Scheme, b.url.Host, err)
	return &Error{Code: "unreachable", Detail: detail, Temporary: true}
}

// read takes a token, the problem document (RFC 9457) of a refusal, or what little is known
// without one.
func read(response *http.Response, text []byte) (*answer, *Error) {
	seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 31)
	if err != nil {
		seconds = 0
	}
	after := time.Duration(seconds) * time.Second
	if response.StatusCode == http.StatusOK {
		var got answer
		if json.Unmarshal(text, &got) != nil {
			return nil, noBroker(http.StatusOK, 0)
		}
		return &got, nil
	}
	var problem struct {
		Code, Title, Detail, Fix, Retry string
		RequestID                       string `json:"request_id"`
		Errors                          []struct{ Pointer, Detail string }
	}
	if json.Unmarshal(text, &problem) != nil || problem.Code == "" {
		return nil, noBroker(response.StatusCode, after)
	}
	detail := problem.Detail
	if detail == "" {
		detail = problem.Title
	}
	for _, field := range problem.Errors {
		detail += " " + field.Pointer + ": " + field.Detail
	}
	return nil, &Error{
		Code: problem.Code, Detail: detail, Fix: problem.Fix, Status: response.StatusCode,
		RequestID: problem.RequestID, RetryAfter: after, Temporary: problem.Retry == "after",
	}
}

func noBroker(status int, after time.Duration) *Error {
	detail := fmt.Sprintf("Something that is not a broker answered %d.", status)
	later := status == 429 || status >= 502 && status <= 504
	return &Error{Code: "no_broker", Detail: detail, Status: status, RetryAfter: after, Temporary: later}
}

func sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
