"""The snippets of the documents as programs, so that the suite runs them: one program for each environment.

A page's snippets in one language run one after the other, as a reader would paste them. Where they name the broker, Box or
the secrets of a platform, the programs use the stage's instead. Behind each page's snippets stand checks of what they
made: `client` and `ann` call Box, `narrow` and `workload` have a token.
"""

import os
import re
import textwrap

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

PAGES = [
    "README.md", "docs/getting-started.md", "docs/guides/sdks.md", "docs/guides/box-tools.md",
    "clients/go/README.md", "clients/java/README.md", "clients/node/README.md", "clients/python/README.md",
]
# Snippets for pages in browsers, which the suite `browser` tries in its own way.
BROWSER_PAGES = ["docs/guides/ui-elements.md", "clients/browser/README.md"]

LANGUAGES = ["python", "js", "java", "go"]

BROKER = "https://broker.example.com"
PLATFORM_TOKEN = "/var/run/secrets/broker/token"


def blocks(page):
    """The fenced blocks of a page: language and text, without the indentation of a tab or list."""
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        text = file.read()
    for indentation, language, body in re.findall(r"^( *)```(\w+)[^\n]*\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL):
        yield language, textwrap.dedent(body)


def snippets(language, suits):
    """For each page that has any: its name, and its snippets in a language that suit an environment, as one text."""
    for page in PAGES:
        texts = [text for block, text in blocks(page) if block == language and suits(text)]
        if texts:
            yield page, "".join(texts)


def made(text):
    """Which of the names that are checked a page's snippets assign."""
    return {name for name in ("client", "ann", "narrow", "workload") if re.search(rf"\b{name}\b[^=\n]*:?= ?", text)}


def is_older_python(text):
    return "boxsdk" in text


def python(older):
    """A driver for an environment of Python."""
    program = [
        "import os", "import tempfile", "from stage import STAGE, be, run", "",
        'os.environ.update(BTB_URL=STAGE["broker"], BTB_KEY=STAGE["key"])',
        "key_file = tempfile.NamedTemporaryFile('w', suffix='.key')", "key_file.write(STAGE['key'])", "key_file.flush()",
    ]
    names = []
    for page, text in snippets("python", lambda text: is_older_python(text) == older):
        names.append(re.sub(r"\W", "_", page))
        code = text.replace(f'"{BROKER}', 'STAGE["broker"] + "').replace(f'"{PLATFORM_TOKEN}"', "key_file.name")
        code = code.replace('enterprise_id="12345"', 'enterprise_id=STAGE["enterprise"]')
        if older:
            checks = ['API.BASE_API_URL = STAGE["sandbox"] + "/2.0"', 'be(client.user("me").get().type, "user")']
        else:
            checks = list(python_checks(made(code)))
        program += ["", "", f"def {names[-1]}():", textwrap.indent(code + "\n".join(checks), "    ")]
    return "\n".join(program + ["", "", f"run([{', '.join(names)}])", ""])


def python_checks(names):
    yield "from box_sdk_gen.networking.base_urls import BaseUrls"
    yield 'urls = BaseUrls(base_url=STAGE["sandbox"], upload_url=STAGE["sandbox"], oauth_2_url=STAGE["sandbox"])'
    for name in sorted(names & {"client", "ann"}):
        yield f"me = {name}.with_custom_base_urls(urls).users.get_user_me()"
        yield f'be(me.id == STAGE["user"], {name == "ann"})'
    if "narrow" in names:
        yield "be(bool(narrow.access_token), True)"
    if "workload" in names:
        yield "be(bool(workload.retrieve_token().access_token), True)"


def is_older_node(text):
    return "legacyClient" in text


def node(older, package):
    """A driver for an environment of Node."""
    program = [
        "'use strict';", "const assert = require('node:assert/strict');", "const http = require('node:http');",
        "const { writeFileSync } = require('node:fs');", "const { STAGE, run } = require('./stage');",
        "Object.assign(process.env, { BTB_URL: STAGE.broker, BTB_KEY: STAGE.key });",
        "const keyFile = `${__dirname}/key`;", "writeFileSync(keyFile, STAGE.key);",
        "const urls = { baseUrl: STAGE.sandbox, uploadUrl: STAGE.sandbox, oauth2Url: STAGE.sandbox };", "run({",
    ]
    for page, text in snippets("js", lambda text: is_older_node(text) == older):
        code = text.replace(f"'{BROKER}'", "STAGE.broker").replace(f"'{PLATFORM_TOKEN}'", "keyFile")
        code = code.replace("'box-node-sdk'", f"'{package}'")
        if older:
            code = code.replace("clientSecret: ''", "clientSecret: '', apiRootURL: STAGE.sandbox, request: { agentClass: http.Agent }")
            checks = ["assert.ok((await client.users.get('me')).id);"]
        else:
            checks = list(node_checks(made(code)))
        program += [f"async '{page}'() {{", textwrap.indent(code + "\n".join(checks), "  "), "},"]
    return "\n".join(program + ["});", ""])


def node_checks(names):
    for name in sorted(names & {"client", "ann"}):
        yield f"const {name}s = await {name}.withCustomBaseUrls(urls).users.getUserMe();"
        yield f"assert.equal({name}s.id === STAGE.user, {str(name == 'ann').lower()});"
    if "narrow" in names:
        yield "assert.ok(narrow.accessToken);"
    if "workload" in names:
        yield "assert.ok((await workload.retrieveToken()).accessToken);"


def java():
    """The class `Snippets`: both generations of the SDK are on one class path, so it has a method for each snippet."""
    imports = {"java.util.LinkedHashMap", "java.util.Map", "com.box.sdkgen.networking.baseurls.BaseUrls"}
    methods, entries = [], []
    for page in PAGES:
        for block, text in blocks(page):
            if block != "java":
                continue
            imports |= set(re.findall(r"^import ([\w.]+);", text, re.MULTILINE))
            code = re.sub(r"^import .*\n", "", text, flags=re.MULTILINE)
            code = code.replace('System.getenv("BTB_KEY")', 'Stage.fact("key")')
            code = code.replace('System.getenv("BTB_URL")', 'Stage.fact("tls_broker")')
            code = code.replace(f'"{BROKER}', 'Stage.fact("tls_broker") + "').replace('"12345"', 'Stage.fact("enterprise")')
            name = f"snippet{len(methods)}"
            entries.append(f'    checks.put("{page}, {len(methods)}", Snippets::{name});')
            checks = textwrap.indent("\n".join(java_checks(code)), "    ")
            methods.append(f"  static void {name}() throws Exception {{\n{textwrap.indent(code, '    ')}{checks}\n  }}")
    return "\n".join(
        [f"import {name};" for name in sorted(imports)]
        + ["", "final class Snippets {", "  public static void main(String[] args) {"]
        + ["    Map<String, Stage.Check> checks = new LinkedHashMap<>();", *entries, "    Stage.run(checks);", "  }", ""]
        + ["\n\n".join(methods), "}", ""]
    )


def java_checks(code):
    names = made(code)
    if names & {"client", "ann"}:
        yield 'String sandbox = Stage.fact("tls_sandbox");'
        yield "BaseUrls urls = new BaseUrls.Builder().baseUrl(sandbox).uploadUrl(sandbox).oauth2Url(sandbox).build();"
    for name in sorted(names & {"client", "ann"}):
        yield f"String {name}Id = {name}.withCustomBaseUrls(urls).getUsers().getUserMe().getId();"
        yield f'Stage.be({name}Id.equals(Stage.fact("user")), {str(name == "ann").lower()});'
    if "narrow" in names:
        yield "Stage.be(narrow.getAccessToken().isEmpty(), false);"
    if "BoxCCGAPIConnection" in code:
        yield "OlderChecks.atBox(api);"
        yield "Stage.be(new com.box.sdk.BoxFolder(api, \"0\").getInfo().getID(), \"0\");"


def go():
    """A program of its own, beside the checks."""
    program = [
        "package main", "", "import (", '"context"', '"encoding/json"', '"errors"', '"fmt"', '"net/http"', '"os"', "",
        '"boxtokenbroker"', ")", "", "var stage struct{ Broker, Sandbox, Key, User string }", "", "func main() {",
        'text, err := os.ReadFile(os.Getenv("BTB_SDK_STAGE"))', "if err == nil { err = json.Unmarshal(text, &stage) }",
        "if err != nil { fmt.Println(err); return }", 'os.Setenv("BTB_URL", stage.Broker)', 'os.Setenv("BTB_KEY", stage.Key)',
    ]
    functions = []
    pages = list(snippets("go", lambda _: True))
    program.append(f'fmt.Println("checks:", {len(pages)})')
    for number, (page, text) in enumerate(pages):
        code = text.replace(f'"{BROKER}"', "stage.Broker").replace("Transport(nil)", "Transport(nil, stage.Sandbox)")
        code = code.replace('"https://api.box.com/2.0', 'stage.Sandbox + "/2.0')
        program.append(f'report("{page}", page{number}())')
        functions += [f"func page{number}() error {{", "ctx := context.Background()", "_ = ctx", code, *go_checks(code), "}"]
    program += [
        "}", "", "func report(page string, err error) {", 'if err != nil { fmt.Printf("FAILED: %s: %s\\n", page, err); return }',
        'fmt.Println("ok:", page)', "}", "", *functions, "", "func is(client *http.Client, user bool) error {",
        'answer, err := client.Get(stage.Sandbox + "/2.0/users/me")', "if err != nil { return err }",
        "defer answer.Body.Close()", "var me struct{ ID string }", "err = json.NewDecoder(answer.Body).Decode(&me)",
        'if err == nil && (me.ID == "" || (me.ID == stage.User) != user) { err = errors.New("another user") }',
        "return err", "}", "",
    ]
    return "\n".join(program)


def go_checks(code):
    names = made(code)
    yield "if err != nil { return err }"
    if "response" in code:
        yield 'if response.StatusCode != 200 { return errors.New(response.Status) }'
    if "narrow" in names:
        yield 'if narrow.AccessToken.Text() == "" { return errors.New("no token") }'
    if "ann" in names:
        yield "if err := is(ann, true); err != nil { return err }"
    yield "return is(client, false)"
