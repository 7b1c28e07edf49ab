"""The suite `sdk`: Box's official SDKs, unmodified, with the adapters and the Box-compatible endpoint.

    python3 suite.py prepare SCRATCH          installs the SDKs, each in a folder of its own
    python3 suite.py run SCRATCH BINARY       runs what was prepared; prints `ok: …` and `FAILED: …`

Nothing is written outside of SCRATCH but the package managers' own caches.
"""

import json
import os
import shutil
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor

import reports
from environments import ENVIRONMENTS
from stage import Stage

# Seconds that one driver may take.
LIMIT = 600
# Seconds that a token lives during the uploads: time enough between its renewal and its end.
SHORT_LIFE = 20


def say(well, text):
    print(("ok: " if well else "FAILED: ") + text, flush=True)
    return well


def prepare(scratch):
    with ThreadPoolExecutor(2) as pool:
        problems = dict(zip(ENVIRONMENTS, pool.map(lambda name: attempt(ENVIRONMENTS[name], scratch), ENVIRONMENTS)))
    with open(os.path.join(scratch, "prepared.json"), "w", encoding="utf-8") as file:
        json.dump(problems, file)


def attempt(environment, scratch):
    """Prepares an environment; what went wrong, if anything did."""
    try:
        environment.prepare(scratch)
    except subprocess.CalledProcessError as error:
        return f"{' '.join(map(str, error.cmd))} ended with {error.returncode}:\n{error.output}"
    except Exception:
        return traceback.format_exc()
    return None


def run(scratch, binary):
    with open(os.path.join(scratch, "prepared.json"), encoding="utf-8") as file:
        problems = json.load(file)
    ready = []
    for name, environment in ENVIRONMENTS.items():
        if problems[name] is None:
            ready.append(environment)
        else:
            say(False, f"{environment.title} cannot be prepared")
            print(indented(problems[name]), flush=True)
    for environment in ready:
        for title, command, read in environment.unit_tests(scratch):
            drive(title, command, read, {})
    try:
        stage = Stage(binary, os.path.join(scratch, "stage"))
    except Exception:
        say(False, "the broker and the stand-in for Box do not come up")
        traceback.print_exc()
        return
    try:
        on_stage(stage, ready, scratch)
    except Exception:
        say(False, "the broker or the stand-in for Box does not answer")
        traceback.print_exc()
    finally:
        stage.stop()


def on_stage(stage, ready, scratch):
    facts = os.path.join(scratch, "stage.json")
    stage.write(facts)
    variables = {"BTB_SDK_STAGE": facts}
    for environment in ready:
        for title, command in environment.checks(scratch):
            stage.begin_anew()
            drive(title, command, reports.lines, variables)
    stage.begin_anew(SHORT_LIFE)
    uploads = [upload for environment in ready for upload in environment.uploads(scratch)]
    with ThreadPoolExecutor(len(uploads) or 1) as pool:
        list(pool.map(lambda upload: drive(*upload, reports.lines, variables), uploads))


def drive(title, command, read, variables):
    """Runs a driver, and says how each of its checks went."""
    folder, words = command
    environment = {**{name: value for name, value in os.environ.items() if not name.startswith("BTB_")}, **variables}
    try:
        done = subprocess.run(
            words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired as error:
        say(False, f"{title}: it takes longer than {LIMIT} s")
        print(indented(error.output or ""), flush=True)
        return
    results = list(read(folder, done.stdout))
    for well, name in results:
        say(well, f"{title}: {name}")
    if not results or (done.returncode != 0 and all(well for well, _ in results)):
        say(False, f"{title}: it broke off")
    if not results or not all(well for well, _ in results) or done.returncode != 0:
        print(indented(done.stdout), flush=True)


def indented(text):
    """What a driver printed, so that none of its lines counts a second time."""
    return "".join(f"    {line}\n" for line in text.splitlines())


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        shutil.rmtree(sys.argv[2], ignore_errors=True)
        os.makedirs(sys.argv[2])
        prepare(sys.argv[2])
    else:
        run(sys.argv[2], sys.argv[3])
