// Command checks calls Box's API with the broker's round tripper.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"boxtokenbroker"
)

var stage struct {
	Broker, Sandbox, Key, Enterprise, User, Folder string
	ForeignFolder                                  string `json:"foreign_folder"`
}

var service, user *boxtokenbroker.Source

func main() {
	text, err := os.ReadFile(os.Getenv("BTB_SDK_STAGE"))
	if err == nil {
		err = json.Unmarshal(text, &stage)
	}
	if err == nil {
		service, err = boxtokenbroker.New(stage.Broker, "acme", boxtokenbroker.Key(stage.Key))
	}
	if err != nil {
		fmt.Println("FAILED: it comes up:", err)
		return
	}
	user = service.ForUser(stage.User)
	checks := []struct {
		name string
		what func() error
	}{
		{"the service account lists its folders", serviceAccount},
		{"a user lists their folders", asUser},
		{"a downscoped token reaches its folder alone", downscoped},
		{"forgetting ends nobody else's token", forgotten},
		{"a token that Box kills is replaced", killed},
		{"what the broker refuses is told", refused},
	}
	fmt.Println("checks:", len(checks))
	for _, each := range checks {
		check(each.name, each.what)
	}
}

func check(name string, what func() error) {
	if err := what(); err != nil {
		fmt.Printf("FAILED: %s: %s\n", name, strings.Join(strings.Fields(err.Error()), " "))
		return
	}
	fmt.Println("ok:", name)
}

func serviceAccount() error {
	found, err := names(service, "0")
	return expect(err, strings.Contains(found, "Contracts") && strings.Contains(found, "Invoices"), found)
}

func asUser() error {
	found, err := names(user, "0")
	return expect(err, strings.Contains(found, "Ada's notes") && !strings.Contains(found, "Invoices"), found)
}

func downscoped() error {
	contracts := &boxtokenbroker.Resource{Type: "folder", ID: stage.Folder}
	token, err := user.Downscope(context.Background(), []string{"base_explorer", "item_preview"}, contracts)
	if err != nil || len(token.RestrictedTo) != 2 || token.RestrictedTo[0].Object != *contracts {
		return expect(err, false, "it is not restricted")
	}
	bearer := "Bearer " + token.AccessToken.Text()
	own, err := at("GET", "/2.0/folders/"+stage.Folder, bearer, http.DefaultClient, nil)
	if err != nil || own != 200 {
		return expect(err, false, fmt.Sprint("its own folder: ", own))
	}
	foreign, err := at("GET", "/2.0/folders/"+stage.ForeignFolder, bearer, http.DefaultClient, nil)
	return expect(err, foreign == 403 || foreign == 404, fmt.Sprint("another folder: ", foreign))
}

func forgotten() error {
	token, err := user.Token(context.Background())
	if err != nil {
		return err
	}
	user.Forget()
	var seen struct{ Live bool }
	sum := sha256.Sum256([]byte(token.AccessToken.Text()))
	if _, err := at("GET", fmt.Sprintf("/sandbox/tokens/%x", sum), "", http.DefaultClient, &seen); err != nil {
		return err
	}
	found, err := names(user, "0")
	return expect(err, seen.Live && found != "", "it is dead")
}

func killed() error {
	if _, err := names(service, "0"); err != nil {
		return err
	}
	if _, err := at("DELETE", "/sandbox/journal", "", http.DefaultClient, nil); err != nil {
		return err
	}
	if _, err := at("DELETE", "/sandbox/tokens?subject=enterprise:"+stage.Enterprise, "", http.DefaultClient, nil); err != nil {
		return err
	}
	found, err := names(service, "0")
	if err != nil {
		return err
	}
	var journal struct{ Items []struct{ Status int } }
	_, err = at("GET", "/sandbox/journal?path=/2.0/folders/*", "", http.DefaultClient, &journal)
	seen := fmt.Sprint(journal.Items)
	return expect(err, seen == "[{401} {200}]" && found != "", seen)
}

func refused() error {
	nobody, err := boxtokenbroker.New(stage.Broker, "nobody", boxtokenbroker.Key(stage.Key))
	if err != nil {
		return err
	}
	_, err = names(nobody, "0")
	var refusal *boxtokenbroker.Error
	if errors.As(err, &refusal) && refusal.Code == "not_found" && !strings.Contains(err.Error(), stage.Key) {
		return nil
	}
	return fmt.Errorf("got %v", err)
}

// names lists a folder by a client whose every request gets a token of the source.
func names(source *boxtokenbroker.Source, folder string) (string, error) {
	client := &http.Client{Transport: source.Transport(nil, stage.Sandbox)}
	var page struct{ Entries []struct{ Name string } }
	status, err := at("GET", "/2.0/folders/"+folder+"/items", "", client, &page)
	if err == nil && status != 200 {
		err = fmt.Errorf("Box answers %d", status)
	}
	return fmt.Sprint(page.Entries), err
}

func at(method, path, authorization string, client *http.Client, into any) (int, error) {
	request, err := http.NewRequest(method, stage.Sandbox+path, nil)
	if err != nil {
		return 0, err
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && into != nil && len(bytes.TrimSpace(text)) > 0 {
		err = json.Unmarshal(text, into)
	}
	return response.StatusCode, err
}

func expect(err error, holds bool, instead string) error {
	if err != nil || holds {
		return err
	}
	return errors.New(instead)
}
