#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The configuration file: mayfly config check and show; and what is made of the table of options beside flags."""
import json
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "cli"))
sys.dont_write_bytecode = True
from mayfly import BUILD, FAILED, MAYFLY, command, expect  # noqa: E402
from claims import check, claim, main, matches, same  # noqa: E402

GOOD = """# a comment
listen = ["127.0.0.1:0", "unix:/tmp/x"];
control = "unix:/tmp/control"
tenants = {
  shop = {
    program = ["/srv/shop", "--fast", "a b"]
    host = "shop.example"
    path = ["/", "/a"]
    memory = "64M"
    vms = 3
    audit = true
    quiet = false
    allow-read = ["/srv", "/etc/hostname"]
    allow-env = true
  }
  blog = { program = "/srv/blog"; host = "blog.example"; listen = "127.0.0.1:8081"; };
};
"""


class File:
    def __init__(self, text, name="mayfly.conf"):
        self.text, self.name = text, name

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="mayfly-config-")
        self.path = os.path.join(self.folder.name, self.name)
        with open(self.path, "wb") as file:
            file.write(self.text if isinstance(self.text, bytes) else self.text.encode())
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


def config(*args):
    return command([MAYFLY, "config", *args])


def told(text, *patterns):
    """The file is bad, and this is said of it, with its name and line."""
    with File(text) as file:
        done = expect(config("check", file.path), 1, f"a bad file: {text!r}")
        for pattern in patterns:
            matches(pattern, done.err, text)
        check(file.path.encode() in done.err, "the file's name is told", done.err)
        same(done.err.count(b"\n"), 1, "one sentence")


def tenant(line):
    return f'listen = "127.0.0.1:0"\ntenants = {{\n one = {{\n  program = "x"\n  {line}\n }};\n}};\n'


@claim
def a_good_file_is_good():
    with File(GOOD) as file:
        matches("is good: 2 tenants", expect(config("check", file.path), 0, "check").out)
    with File("") as file:
        matches("is good: 0 tenants", expect(config("check", file.path), 0, "an empty one").out)


@claim
def errors_name_file_line_and_what_was_meant():
    told(tenant("memroy = \"64M\""), r"mayfly\.conf:5: unknown key memroy; did you mean memory\?")
    told("listn = \"a:1\"", r":1: unknown key listn; did you mean listen\?")
    told("\n\ntenant = {}", r":3: unknown key tenant; did you mean tenants\?")
    told(tenant("zzzzzzzzz = 1"), r":5: unknown key zzzzzzzzz; `mayfly config show`")
    told("memory = 1", r":1: memory belongs into a tenant")
    told(tenant("log = \"json\""), r":5: log belongs into the top of the file")
    told(tenant("memory = \"64Q\""), r":5: memory 64Q is not a size; write 512K, 64M or 2G")
    told(tenant("memory = \"1K\""), r":5: memory 1K is not between 1M and 64G")
    told(tenant("deadline = 5"), r":5: deadline 5 is not a time")
    told(tenant("vms = 0"), r":5: vms 0 is not a number from 1 to 65536")
    told(tenant("vms = [1, 2]"), r":5: vms takes one value, not a list")
    told(tenant("vms = 1.5"), r":5: vms takes a text in quotes, or a whole number")
    told(tenant("audit = \"yes\""), r":5: audit is true or false")
    told(tenant("reset = \"often\""), r":5: reset often is none of request, connection and never")
    told(tenant("store-wait = \"x\""), r":5: store-wait x is none of auto, poll, hand-off and wake")
    told(tenant("host = \"a:80\""), r":5: host a:80 is no host's name")
    told(tenant("path = \"shop\""), r":5: path shop is no path")
    told(tenant("cwd = \"here\""), r":5: cwd here is not an absolute path")
    told(tenant("vms = 1\n  vms = 2"), r":6: duplicate setting name")
    told(tenant("vms = "), r":6: syntax error")
    told("control = \"/tmp/x\"", r":1: control /tmp/x is no socket; write unix:PATH")
    told("log = \"xml\"", r":1: log xml is neither text nor json")
    told("tenants = 5", r":1: tenants is no group")
    told("tenants = { a = 5 }", r":1: tenant a is no group")
    told("listen = \"a:1\"\ntenants = { a = {} }", r":2: tenant a has no program")
    told("tenants = { a = { program = \"x\" } }", r":1: tenant a has no address")
    told("listen = \"a:1\"\ntenants = { " + "a" * 33 + " = { program = \"x\" } }", "is no tenant's name")
    told(tenant("store-program = \"x\""), "store-program needs a folder")
    told(tenant("quiet = [true, {a = 1;}]"), ":5: ")
    told(b"\xff\xfe\0", ":1: ")


@claim
def what_only_the_whole_can_tell_is_told():
    two = 'listen = "127.0.0.1:0"\ntenants = {\n a = {{ program = "x"; {} }}\n b = {{ program = "x"; {} }}\n}}\n'.replace(
        "tenants = {", "tenants = {{")
    told(two.format("", ""), ":4: tenant b has the same host and path, and so has a (line 3)".replace("(", r"\(").replace(")", r"\)"))
    told(two.format("host = \"X.example\"", "host = [\"y\", \"x.EXAMPLE\"]"), ":4: tenant b has the same host and path")
    told(two.format("listen = \"unix:a\"", "listen = [\"unix:b\", \"unix:a\"]"), ":4: tenant b has unix:a, and so has a")
    for good in (("path = \"/a\"", "path = \"/b\""), ("host = \"a\"", "host = \"b\""), ("host = \"a\"", ""),
                 ("listen = \"unix:a\"", "listen = \"unix:b\""), ("listen = \"unix:a\"", "")):
        with File(two.format(*good)) as file:
            expect(config("check", file.path), 0, good)


@claim
def the_worst_case_has_to_fit_into_the_memory_limit():
    told(tenant("memory-limit = \"1G\""), r"memory-limit is less than this tenant may come to: 1280 MiB \(memory, and 16 vms "
         "with 64 MiB of request-memory each\\)")
    with File(tenant("memory-limit = \"1G\"; vms = 12")) as file:
        expect(config("check", file.path), 0, "one that fits")


@claim
def show_tells_each_value_and_where_it_comes_from():
    with File(GOOD) as file:
        shown = json.loads(expect(config("show", "--json", file.path), 0, "show").out)
        shop = shown["tenants"]["shop"]
        same(shown["listen"], {"value": ["127.0.0.1:0", "unix:/tmp/x"], "from": {"file": file.path, "line": 2}}, "listen")
        same(shop["memory"], {"value": "64M", "from": {"file": file.path, "line": 9}}, "memory")
        same(shop["vms"]["value"], "3", "vms")
        same(shop["program"]["value"], ["/srv/shop", "--fast", "a b"], "program")
        same(shop["deadline"], {"value": "10s", "from": "default"}, "deadline")
        same(shop["audit"]["value"], True, "audit")
        same(shop["quiet"], {"value": False, "from": "default"}, "quiet")
        same(shop["allow-env"]["value"], [True], "allow-env")
        same(shown["tenants"]["blog"]["memory"], {"value": "256M", "from": "default"}, "another's memory")
        shown = expect(config("show", file.path), 0, "show").out.decode()
        matches(rf'memory = "64M"  # {file.path}:9', shown)
        matches(r'deadline = "10s"  # default', shown)


@claim
def what_is_shown_is_a_good_file_that_says_the_same():
    with File(GOOD) as file:
        shown = expect(config("show", file.path), 0, "show").out
        with File(shown) as again:
            expect(config("check", again.path), 0, shown)
            values = [json.loads(expect(config("show", "--json", path), 0, "show").out) for path in (file.path, again.path)]
            for name in ("shop", "blog"):
                same(*[{key: entry["value"] for key, entry in value["tenants"][name].items()} for value in values], name)


@claim
def show_without_a_file_tells_all_there_is():
    shown = json.loads(expect(config("show", "--json"), 0, "show").out)
    check({"listen", "control", "log"} <= set(shown), "the file's keys", shown)
    check({"program", "host", "path", "vms", "memory", "deadline"} <= set(shown["tenant"]), "a tenant's keys", shown)
    with File(expect(config("show"), 0, "show").out.split(b"# of each")[0]) as file:
        expect(config("check", file.path), 0, "the defaults are good")


@claim
def a_file_may_include_others_of_its_folder():
    with File('listen = "127.0.0.1:0"\ntenants = {\n@include "more.conf"\n}\n') as file:
        with open(os.path.join(file.folder.name, "more.conf"), "w") as more:
            more.write("\na = { program = \"x\"; vms = \"many\" }\n")
        done = expect(config("check", file.path), 1, "an error in what is included")
        matches(r"more.conf:2: vms many is not a number", done.err)


@claim
def what_cannot_be_read_is_told():
    for args, pattern in ((["check"], "no file given"), ([], "check or show is missing"), (["chek", "x"], "no word chek"),
                          (["check", "/no/such/file"], "cannot open /no/such/file"), (["check", "/"], "is a folder"),
                          (["check", "a", "b"], "one file at a time"), (["show", "a", "b"], "one file at a time"),
                          (["--jsn", "show"], "unknown option --jsn; did you mean --json")):
        matches(pattern, expect(config(*args), FAILED, args).err)


@claim
def unknown_flags_name_the_one_that_was_meant():
    for args, pattern in ((["run", "--memroy", "1M"], "unknown option --memroy; did you mean --memory"),
                          (["serve", "--listn", "x"], "unknown option --listn; did you mean --listen"),
                          (["serve", "--frobnicate"], "unknown option --frobnicate; see mayfly serve --help")):
        matches(pattern, expect(command([MAYFLY, *args]), FAILED, args).err)


def complete(*words):
    """What bash offers for the last word."""
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }; '
              '_mayfly "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"; printf "%s\\n" "${COMPREPLY[@]}"')
    done = expect(command(["bash", "-c", script, "-", f"{BUILD}/config/mayfly", *words]), 0, words)
    same(done.err, b"", "completion's errors")
    return set(done.out.decode().split())


@claim
def completion_offers_verbs_flags_and_words():
    check({"run", "serve", "config"} <= complete("mayfly", ""), "verbs")
    same(complete("mayfly", "se"), {"serve"}, "a verb")
    same(complete("mayfly", "serve", "--reset", ""), {"request", "connection", "never"}, "words")
    check({"--memory", "--vms", "--allow-read="} <= complete("mayfly", "serve", "--"), "flags")
    check("--vms" not in complete("mayfly", "run", "--"), "another verb's flag")
    same(complete("mayfly", "run", "--mem"), {"--memory"}, "a flag")
    same(complete("mayfly", "run", "--", "--mem"), set(), "behind --")
    check({"check", "show"} <= complete("mayfly", "config", ""), "words of a verb")
    check({"--html", "--seed"} <= complete("mayfly", "bench", "--"), "flags of both verbs that begin with a word")


@claim
def every_flag_stands_in_the_manual_and_in_help():
    with open(f"{BUILD}/docs/mayfly.1", encoding="utf-8") as file:
        manual = file.read().replace("\\-", "-")
    check("@OPTIONS" not in manual, "every group was filled in")
    for verb in ("run", "serve", "ctl", "stat", "top", "image build", "config", "doctor"):
        shown = expect(command([MAYFLY, *verb.split(), "--help"]), 0, verb).out.decode()
        flags = complete("mayfly", verb.split()[0], "--")
        check(len(flags) > 1, f"{verb} has flags")
        for flag in flags:
            check(flag.rstrip("=") in shown, f"{flag} is told by mayfly {verb} --help", shown)
            check(f"\\fB{flag.rstrip('=')}\\fR" in manual or flag == "--help", f"{flag} of {verb} stands in the manual")
    for verb, flags in (("host", ("quick", "json", "html")), ("compare", ("json", "seed", "threshold"))):
        shown = expect(command([MAYFLY, "bench", verb, "--help"]), 0, verb).out.decode()
        for flag in flags:
            check(f"--{flag}" in shown and f"\\fB--{flag}\\fR" in manual, f"--{flag} of bench {verb}", shown)


@claim
def doctor_tells_facts_and_how_to_mend_them():
    done = command([MAYFLY, "doctor", "--json"])
    facts = {fact["name"]: fact for fact in json.loads(done.out)}
    check({"/dev/kvm", "Landlock ABI", "file descriptors"} <= set(facts), "facts", done.out)
    same(done.status, 0 if facts["/dev/kvm"]["value"] == "can be used" else FAILED, "exit status")
    lines = command([MAYFLY, "doctor"]).out.decode()
    for name, fact in facts.items():
        check(name in lines and ("mend" not in fact or fact["mend"] in lines), name, lines)


@claim
def every_key_stands_in_the_manual_of_mayflyd():
    with open(f"{BUILD}/docs/mayflyd.8", encoding="utf-8") as file:
        manual = file.read().replace("\\-", "-")
    check("@OPTIONS" not in manual, "every group was filled in")
    shown = json.loads(expect(config("show", "--json"), 0, "show").out)
    serve = expect(command([MAYFLY, "serve", "--help"]), 0, "serve --help").out.decode()
    for key in [*(key for key in shown if key != "tenant"), *shown["tenant"]]:
        check(f"\\fB--{key}\\fR" in manual or f"\\fB{key}\\fR" in manual or f"--{key}" in serve, f"{key} stands in a manual")


if __name__ == "__main__":
    main()
