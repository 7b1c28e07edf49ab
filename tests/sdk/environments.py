"""Where each SDK is installed, and what is run there."""

import os
import shutil
import subprocess
import sys

import reports
import snippets

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENTS = os.path.normpath(os.path.join(HERE, "..", "..", "clients"))


def quietly(words, folder):
    """Runs a command whose output is of interest where it fails."""
    subprocess.run(
        words, cwd=folder, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900
    )


def write(text, *path):
    with open(os.path.join(*path), "w", encoding="utf-8") as file:
        file.write(text)


def copy(source, target):
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules", "target", "__pycache__"))


class Environment:
    """One SDK. Commands are a folder and words; nothing where there is nothing to run."""

    def __init__(self, name, title):
        self.name = name
        self.title = title

    def folder(self, scratch):
        return os.path.join(scratch, self.name)

    def unit_tests(self, _scratch):
        return []

    def uploads(self, _scratch):
        return []


class Python(Environment):
    def __init__(self, name, title, driver):
        super().__init__(f"python-{name}", title)
        self.requirements = os.path.join(HERE, "python", f"requirements-{name}.txt")
        self.driver = driver

    def python(self, scratch):
        return os.path.join(self.folder(scratch), "venv", "bin", "python")

    def prepare(self, scratch):
        folder = self.folder(scratch)
        copy(os.path.join(HERE, "python"), folder)
        copy(os.path.join(CLIENTS, "python"), folder)
        quietly([sys.executable, "-m", "venv", "venv"], folder)
        pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", self.requirements]
        quietly([self.python(scratch), *pip], folder)
        write(snippets.python(self.driver == "v3.py"), folder, "snippets.py")

    def checks(self, scratch):
        for title, driver in ((self.title, self.driver), (f"{self.title}, the documents", "snippets.py")):
            yield title, (self.folder(scratch), [self.python(scratch), driver])

    def unit_tests(self, scratch):
        if self.driver == "adapter.py":
            words = [self.python(scratch), "-m", "unittest", "discover", "-v", "tests"]
            yield f"{self.title}, the adapter", (self.folder(scratch), words), reports.unittest

    def uploads(self, scratch):
        if self.name == "python-v10":
            yield self.title, (self.folder(scratch), [self.python(scratch), "upload.py"])


class Node(Environment):
    def __init__(self, name, title, package, driver):
        super().__init__(f"node-{name}", title)
        self.lock = os.path.join(HERE, "node", name)
        self.package = package
        self.driver = driver

    def prepare(self, scratch):
        folder = self.folder(scratch)
        copy(self.lock, folder)
        for file in os.listdir(os.path.join(HERE, "node")):
            if file.endswith((".js", ".ts", "tsconfig.json")):
                shutil.copy(os.path.join(HERE, "node", file), folder)
        quietly(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
        copy(os.path.join(CLIENTS, "node"), os.path.join(folder, "node_modules", "box-token-broker-client"))
        write(snippets.node(self.driver == "v3.js", self.package), folder, "snippets.js")

    def node(self, scratch, file):
        return self.folder(scratch), ["env", f"BTB_SDK={self.package}", "node", file]

    def checks(self, scratch):
        yield self.title, self.node(scratch, self.driver)
        yield f"{self.title}, the documents", self.node(scratch, "snippets.js")

    def unit_tests(self, scratch):
        if self.name == "node-v10":
            adapter = os.path.join(self.folder(scratch), "node_modules", "box-token-broker-client")
            words = ["node", "--test", "--test-reporter=tap", "test/index.test.js"]
            yield f"{self.title}, the adapter", (adapter, words), reports.tap
            shell = "echo 'checks: 1' && node_modules/.bin/tsc --project . && echo 'ok: its types fit'"
            yield f"{self.title}, the adapter", (self.folder(scratch), ["sh", "-c", shell]), reports.lines

    def uploads(self, scratch):
        if self.name == "node-v10":
            yield self.title, self.node(scratch, "upload.js")


class Java(Environment):
    def prepare(self, scratch):
        folder = self.folder(scratch)
        copy(os.path.join(CLIENTS, "java"), folder)
        copy(os.path.join(HERE, "java"), os.path.join(folder, "checks"))
        write(snippets.java(), folder, "checks", "Snippets.java")
        plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath"
        quietly(["mvn", "-q", "-B", "test-compile", plugin, "-Dmdep.outputFile=classpath"], folder)
        sources = sorted(file for file in os.listdir(os.path.join(folder, "checks")) if file.endswith(".java"))
        javac = ["javac", "-Xlint:-options", "-encoding", "UTF-8", "-d", "checks", "-cp", self.classpath(scratch)]
        quietly([*javac, *(os.path.join("checks", source) for source in sources)], folder)

    def classpath(self, scratch):
        with open(os.path.join(self.folder(scratch), "classpath"), encoding="utf-8") as file:
            return f"checks:target/classes:{file.read().strip()}"

    def checks(self, scratch):
        mains = {"": "AdapterChecks", ", the older generation": "OlderChecks", ", the documents": "Snippets"}
        for title, main in ((self.title + more, main) for more, main in mains.items()):
            # The JVM's own setting says whose certificates are trusted.
            trust = "keytool -importcert -noprompt -alias stage -file $0 -keystore trusted -storepass trusted"
            java = f"java -Djavax.net.ssl.trustStore=trusted -Djavax.net.ssl.trustStorePassword=trusted -cp $1 {main}"
            shell = f"rm -f trusted && {trust} && exec {java}"
            certificate = os.path.join(scratch, "stage", "tls.crt")
            yield title, (self.folder(scratch), ["sh", "-c", shell, certificate, self.classpath(scratch)])

    def unit_tests(self, scratch):
        yield f"{self.title}, the adapter", (self.folder(scratch), ["mvn", "-q", "-B", "test"]), reports.surefire


class Go(Environment):
    def prepare(self, scratch):
        folder = self.folder(scratch)
        copy(os.path.join(CLIENTS, "go"), os.path.join(folder, "client"))
        copy(os.path.join(HERE, "go"), os.path.join(folder, "checks"))
        copy(os.path.join(HERE, "go"), os.path.join(folder, "snippets"))
        write(snippets.go(), folder, "snippets", "main.go")
        for program in ("checks", "snippets"):
            quietly(["go", "build", "-o", "checks", "."], os.path.join(folder, program))

    def checks(self, scratch):
        for title, program in ((self.title, "checks"), (f"{self.title}, the documents", "snippets")):
            yield title, (os.path.join(self.folder(scratch), program), ["./checks"])

    def unit_tests(self, scratch):
        words = ["go", "test", "-v", "./..."]
        yield f"{self.title}, the adapter", (os.path.join(self.folder(scratch), "client"), words), reports.go


ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Python("v10", "boxsdk 10", "adapter.py"),
        Python("gen", "box-sdk-gen", "adapter.py"),
        Python("v3", "boxsdk 3", "v3.py"),
        Node("v10", "box-node-sdk 10", "box-node-sdk", "adapter.js"),
        Node("gen", "box-typescript-sdk-gen", "box-typescript-sdk-gen", "adapter.js"),
        Node("v3", "box-node-sdk 3", "box-node-sdk", "v3.js"),
        Java("java", "box-java-sdk 5"),
        Go("go", "Go"),
    )
}
