"""The control socket, the commands that use it, and signals."""
import concurrent.futures
import grp
import json
import os
import random
import socket
import stat
import subprocess
import threading
import time

import pytest

import bed
from daemon import Client, Daemon

BLACKHOLE = {"type": "blackhole"}


def pipeline(**settings):
    # Namespaces of other tests come and go: a poll of all of them need not be complete.
    return {"interval": "500ms", "align": "none", "namespaces": {"include": ["host"]}, "sinks": {"out": BLACKHOLE},
            **settings}


# --- what takes ten seconds ---


def ask_the_silent(folder):
    """What a command says to somebody who takes its connection and does not answer."""
    path = folder / "silent.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        return bed.xtcpd("status", "--socket", path)


def send_half_a_line(daemon):
    """(the answer, what follows, after how many seconds)"""
    with Client(daemon.socket) as client:
        client.send(b'{"command"')
        start = time.monotonic()
        return client.answer(), client.answer(), time.monotonic() - start


def send_without_reading(daemon):
    """(whether the connection was ended in the end, by how many KiB the daemon grew)"""
    with Client(daemon.socket) as client:
        client.socket.settimeout(0.2)
        before = daemon.proc.status("VmRSS")
        try:
            while True:
                client.send(b'{"command":"status"}\n' * 1000)
        except TimeoutError:
            pass
        client.socket.settimeout(30)
        client.socket.setblocking(True)
        time.sleep(12)
        try:
            for _ in range(1000):
                client.send(b'{"command":"status"}\n' * 1000)
            is_closed = False
        except (BrokenPipeError, ConnectionResetError):
            is_closed = True
        return is_closed, daemon.proc.status("VmRSS") - before


@pytest.fixture(name="patience", scope="module")
def fixture_patience(tmp_path_factory):
    """Results to wait for. They are begun with the first test and looked at by later ones, so that nobody has to wait;
    the daemon that is asked is asked by nobody else."""
    folder = tmp_path_factory.mktemp("patience")
    with Daemon(folder, {"web": pipeline()}) as patient, concurrent.futures.ThreadPoolExecutor() as pool:
        patient.wait_for_polls(2)
        patient.status()
        yield {"silent": pool.submit(ask_the_silent, folder), "half": pool.submit(send_half_a_line, patient),
               "unread": pool.submit(send_without_reading, patient)}


@pytest.fixture(name="daemon", scope="module")
def fixture_daemon(tmp_path_factory, patience):  # `patience`: to begin it.
    with Daemon(tmp_path_factory.mktemp("control"), {"web": pipeline()}) as daemon:
        daemon.wait_for_complete_polls(2)
        yield daemon


def test_no_thread_beyond_main_and_the_loop(daemon):
    daemon.status()
    daemon.get("/metrics")
    names = set(daemon.thread_names())
    assert names == {"xtcpd", "loop0"}, names
    assert daemon.status()["threads_running"] == 2


def test_status_says_what_runs(daemon):
    status = daemon.status()
    assert status["state"] == "running" and status["pid"] == daemon.process.pid
    assert status["configuration"]["path"] == str(daemon.path)
    web, = status["pipelines"]
    assert web["name"] == "web" and web["polls"]["complete"] >= 2 and web["mode"] in ("io_uring", "syscall")
    assert [sink["name"] for sink in web["sinks"]] == ["out"]
    text = daemon.command("status").stdout
    assert "web  running" in text and "out up" in text and str(daemon.path) in text
    assert json.loads(daemon.command("status", "--format", "json").stdout)["pid"] == daemon.process.pid
    by_config = bed.xtcpd("status", "--config", daemon.path)
    assert by_config.returncode == 0 and "web  running" in by_config.stdout


def test_status_watch_shows_it_again(daemon):
    watch = subprocess.Popen([bed.BINARY, "status", "--socket", daemon.socket, "--watch", "--every", "200ms"],
                             stdout=subprocess.PIPE, text=True)
    seen = [watch.stdout.readline() for _ in range(60)]
    watch.terminate()
    watch.stdout.close()
    watch.wait(10)
    assert sum(line.startswith("xtcpd ") for line in seen) >= 3


def test_poll_answers_when_it_is_done(daemon):
    done = daemon.command("poll", "web", "--count", "3", "--every", "100ms")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 3, done
    assert all(line.startswith("web poll ") for line in done.stdout.splitlines())
    unknown = daemon.command("poll", "nobody")
    assert daemon.command("status", "web").stdout.count("web  running") == 1
    assert daemon.command("status", "nobody").returncode == 1
    assert unknown.returncode == 1 and "nobody" in unknown.stderr
    assert daemon.command("poll", "web", "--count", "0").returncode == bed.EXIT_USAGE


def test_who_is_not_there_is_69(tmp_path):
    for command in (["status"], ["reload"], ["plan"], ["poll", "web"]):
        done = bed.xtcpd(*command, "--socket", tmp_path / "none.sock")
        assert done.returncode == 69 and "none.sock" in done.stderr, done


class TestReload:
    @pytest.fixture(name="own")
    def fixture_own(self, tmp_path):
        with Daemon(tmp_path, {"web": pipeline()}) as daemon:
            daemon.wait_for_polls(1)
            yield daemon

    def rewrite(self, daemon, old, new):
        text = daemon.path.read_text()
        assert old in text
        daemon.path.write_text(text.replace(old, new))

    def test_unchanged_is_0_and_so_is_applied(self, own):
        done = own.command("reload")
        assert done.returncode == 0 and done.stdout.startswith("unchanged:"), done
        assert own.command("plan", "--detailed-exitcode").returncode == 0
        self.rewrite(own, "500ms", "400ms")
        assert own.command("plan", "--detailed-exitcode").returncode == 2
        done = own.command("reload")
        assert done.returncode == 0 and done.stdout.startswith("applied:") and "generation 2" in done.stdout, done
        assert own.status()["pipelines"][0]["interval_ns"] == 400_000_000

    def test_a_missing_right_is_77_as_at_a_start(self, tmp_path):
        quiet = pipeline(reader={"mode": "syscall"})
        with Daemon(tmp_path, {"web": quiet}, prefix=(str(bed.TOOLS / "without-io-uring"),)) as daemon:
            daemon.wait_for_polls(1)
            self.rewrite(daemon, "mode: syscall", "mode: io_uring")
            done = daemon.command("reload")
            assert done.returncode == bed.EXIT_MISSING_RIGHT and "refused:" in done.stderr, done
            assert daemon.status()["configuration"]["verdict"]["cause"] == "missing_right"
            daemon.wait_for_polls(len(daemon.polls()) + 1)

    def test_invalid_is_78_with_the_place(self, own):
        self.rewrite(own, "500ms", "500")
        done = own.command("reload")
        assert done.returncode == bed.EXIT_INVALID_CONFIGURATION and "refused:" in done.stderr, done
        assert "xtcpd.yaml:" in done.stderr
        assert own.command("plan").returncode == bed.EXIT_INVALID_CONFIGURATION
        status = own.status()["configuration"]
        assert not status["is_last_reload_successful"] and status["verdict"]["cause"] == "configuration"
        assert own.metrics()["xtcpd_config_last_reload_successful"] == 0
        assert "last reload refused" in own.command("status").stdout
        polls = len(own.polls())
        own.wait_for_polls(polls + 2)

    def test_another_hash_than_expected_is_1(self, own):
        done = own.command("reload", "--expect-hash", "0" * 64)
        assert done.returncode == 1 and "0" * 64 in done.stderr, done
        known = own.status()["configuration"]["hash"]
        assert own.command("reload", "--expect-hash", known).returncode == 0

    def test_plan_of_another_file_compares_it_with_the_daemons(self, own, tmp_path):
        other = tmp_path / "new.yaml"
        other.write_text(own.path.read_text().replace("500ms", "250ms"))
        done = bed.xtcpd("plan", "--config", other, "--detailed-exitcode")
        assert done.returncode == 2 and "interval" in done.stdout and str(own.path) in done.stderr, done
        assert "is not what runs" not in done.stderr
        assert bed.xtcpd("plan", "--config", own.path, "--detailed-exitcode").returncode == 0
        other.write_text(own.path.read_text().replace("500ms", "500"))
        assert own.command("plan", "--config", other).returncode == bed.EXIT_INVALID_CONFIGURATION
        other.write_text(own.path.read_text())
        self.rewrite(own, "500ms", "400ms")
        done = bed.xtcpd("plan", "--config", other, "--detailed-exitcode")
        assert done.returncode == 2 and "is not what runs" in done.stderr, done

    def test_reload_of_another_file_is_64(self, own, tmp_path):
        other = tmp_path / "new.yaml"
        other.write_text(own.path.read_text().replace("500ms", "250ms"))
        done = bed.xtcpd("reload", "--config", other)
        assert done.returncode == bed.EXIT_USAGE and str(own.path) in done.stderr and str(other) in done.stderr, done
        assert "verdict" not in own.status()["configuration"]
        link = tmp_path / "link.yaml"
        link.symlink_to(own.path)
        assert bed.xtcpd("reload", "--config", link).returncode == 0
        own.wait_for_log("reload asked for", f'"uid":{os.getuid()}')

    def test_a_broken_file_still_names_the_socket(self, own):
        own.path.write_text(own.path.read_text() + "\nnonsense: [\n")
        done = bed.xtcpd("status", "--config", own.path)
        assert done.returncode == 0 and "web  running" in done.stdout, done
        assert bed.xtcpd("reload", "--config", own.path).returncode == bed.EXIT_INVALID_CONFIGURATION

    def test_another_mode_does_not_replace_what_is_not_ours(self, own):
        os.unlink(own.socket)
        with open(own.socket, "w", encoding="ascii") as file:
            file.write("precious")
        own.write({"web": pipeline()}, {"global": {"control": {"mode": "0600"}}})
        assert own.hang_up()["result"] == "refused"
        with open(own.socket, encoding="ascii") as file:
            assert file.read() == "precious"
        os.unlink(own.socket)
        assert own.hang_up()["result"] == "applied"
        assert stat.S_IMODE(os.stat(own.socket).st_mode) == 0o600
        assert os.listdir(own.sockets.name) == [os.path.basename(own.socket)]

    def test_the_listeners_move(self, own, tmp_path):
        old = own.socket
        new = f"{own.sockets.name}/moved.sock"
        before = own.http
        self.rewrite(own, old, new)
        self.rewrite(own, "listen: 127.0.0.1:0", "listen: '[::1]:0'")
        done = own.command("reload")
        assert done.returncode == 0, done
        own.socket = new
        assert not os.path.exists(old) and own.status()["metrics_address"].startswith("[::1]:")
        with pytest.raises(OSError):
            socket.create_connection(before.removeprefix("http://").rsplit(":", 1), 2)

    def test_a_listener_that_cannot_be_bound_refuses(self, own):
        self.rewrite(own, own.socket, "/proc/nowhere/c.sock")
        done = own.command("reload")
        assert done.returncode == 1 and "/proc/nowhere" in done.stderr, done
        assert own.status()["configuration"]["generation"] == 1


class TestBadInput:
    @pytest.mark.parametrize("line", [
        b"x\n", b"{}\n", b"[]\n", b"\x00\xff\xfe\n", b'{"command":"stop"}\n', b'{"command":1}\n',
        b'{"command":"poll"}\n',
        b'{"command":"poll","pipeline":7}\n', b"[" * 60000 + b"\n",
        b'{"command":"status"' + b" " * 60000 + b"\n", b'"\\ud800"\n',
    ])
    def test_is_refused_and_the_connection_stays(self, daemon, line):
        with Client(daemon.socket) as client:
            answer = client.ask(line)
            assert answer["ok"] is False and answer["code"] == "bad_request" and answer["error"]
            assert client.ask({"command": "status"})["ok"]

    def test_a_line_that_is_too_long_ends_the_connection(self, daemon):
        with Client(daemon.socket) as client:
            try:
                client.send(b"a" * (1 << 20))
            except (BrokenPipeError, ConnectionResetError):
                pass
            answer = client.answer()
            assert answer is None or answer["code"] == "bad_request"
            assert client.answer() is None
        assert daemon.status()["state"] == "running"

    def test_half_a_line_ends_after_10_s(self, patience):
        answer, end, took = patience["half"].result()
        assert "did not end" in answer["error"] and end is None
        assert 9 < took < 13

    def test_several_lines_at_once_are_answered_in_order(self, daemon):
        with Client(daemon.socket) as client:
            client.send(b'\n \n{"command":"status"}\n{"command":"nothing"}\n{"command":"status"}\n')
            assert [client.answer()["ok"] for _ in range(3)] == [True, False, True]

    @pytest.mark.parametrize("command, key", [("status", "status"), ("reload", "verdict")])
    def test_five_thousand_lines_at_once(self, daemon, command, key):
        line = json.dumps({"command": command}).encode() + b"\n"
        with Client(daemon.socket, 120) as client:
            sender = threading.Thread(target=client.send, args=(line * 5000,))
            sender.start()
            assert all(key in client.answer() for _ in range(5000))
            sender.join()
        daemon.check_alive()

    def test_a_client_that_has_sent_everything_gets_its_answer(self, daemon):
        with Client(daemon.socket) as client:
            client.send(b'{"command":"status"}\n{"command":"status"}\n')
            client.socket.shutdown(socket.SHUT_WR)
            assert client.answer()["ok"] and client.answer()["ok"] and client.answer() is None

    def test_no_more_than_sixteen(self, daemon):
        clients = [Client(daemon.socket) for _ in range(16)]
        try:
            assert all(client.ask({"command": "status"})["ok"] for client in clients)
            with Client(daemon.socket) as one_more:
                assert one_more.answer()["code"] == "too_many_connections" and one_more.answer() is None
            # The command says so, too.
            assert "16 clients" in daemon.command("status").stderr
        finally:
            for client in clients:
                client.__exit__()
        bed.eventually(lambda: daemon.ask({"command": "status"}).get("ok"), what="room for another client")

    def test_a_client_that_does_not_read_is_closed(self, patience):
        is_closed, grown = patience["unread"].result()
        assert is_closed and grown < 4096

    def test_garbage_from_many(self, daemon):
        def client(seed):
            source = random.Random(seed)
            for _ in range(40):
                try:
                    with Client(daemon.socket, 5) as one:
                        one.send(source.randbytes(source.randrange(2000)) + source.choice([b"", b"\n", b"}\n"]))
                        if source.random() < 0.5:
                            one.socket.shutdown(socket.SHUT_WR)
                            one.answer()
                except (OSError, ValueError):
                    pass
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            list(pool.map(client, range(48)))
        bed.eventually(lambda: daemon.ask({"command": "status"}).get("ok"), what="an answer after the garbage")
        daemon.check_alive()


class TestWhoMayAsk:
    GROUP = "games"
    NOBODY, STRANGERS = 65534, 64321

    @pytest.fixture(name="guarded", scope="class")
    def fixture_guarded(self, tmp_path_factory):
        settings = {"global": {"control": {"group": self.GROUP, "mode": "0666"}}}
        with Daemon(tmp_path_factory.mktemp("guarded"), {"web": pipeline()}, settings=settings) as daemon:
            daemon.wait_for_polls(1)
            os.chmod(daemon.sockets.name, 0o755)
            yield daemon

    def ask(self, daemon, *arguments, groups=()):
        group = ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
        prefix = ["setpriv", "--reuid", str(self.NOBODY), "--regid", str(self.STRANGERS), *group]
        return daemon.command(*arguments, prefix=prefix)

    def test_the_socket_has_its_group_and_mode(self, guarded):
        status = os.stat(guarded.socket)
        assert stat.S_IMODE(status.st_mode) == 0o666 and status.st_gid == grp.getgrnam(self.GROUP).gr_gid

    def test_a_stranger_is_told_no(self, guarded):
        for command in (["status"], ["reload"], ["poll", "web"]):
            done = self.ask(guarded, *command)
            assert done.returncode == bed.EXIT_MISSING_RIGHT and "group" in done.stderr, done
        guarded.wait_for_log("refused user 65534")

    def test_a_member_by_supplementary_group_may(self, guarded):
        done = self.ask(guarded, "status", groups=[grp.getgrnam(self.GROUP).gr_gid])
        assert done.returncode == 0 and "web  running" in done.stdout, done

    def test_the_mode_keeps_out_whom_it_should(self, tmp_path):
        with Daemon(tmp_path, {"web": pipeline()}) as daemon:
            daemon.wait_for_polls(1)
            os.chmod(daemon.sockets.name, 0o755)
            assert stat.S_IMODE(os.stat(daemon.socket).st_mode) == 0o660
            assert self.ask(daemon, "status").returncode == bed.EXIT_MISSING_RIGHT


class TestTheSocketsFile:
    def test_the_directory_is_made_and_the_socket_is_removed(self, tmp_path):
        path = tmp_path / "run" / "c.sock"
        with Daemon(tmp_path, {"web": pipeline()}, settings={"global": {"control": {"socket": str(path)}}}) as daemon:
            daemon.wait_for_polls(1)
            assert stat.S_IMODE(os.stat(path.parent).st_mode) == 0o755
            assert os.listdir(path.parent) == ["c.sock"]
        assert not path.exists()

    def test_an_end_in_the_middle_of_a_reload_leaves_nothing(self, tmp_path):
        for number in range(8):
            with Daemon(tmp_path / str(number), {"web": pipeline()}) as daemon:
                daemon.wait_for_polls(1)
                several = {f"web{index}": pipeline() for index in range(6)}
                daemon.write(several, {"global": {"control": {"mode": "0600"}, "reload": {"settle": "0s"}}})
                daemon.hangup()
                time.sleep(0.005 * number)
                daemon.stop()
                assert os.listdir(daemon.sockets.name) == []

    def test_a_stale_one_is_replaced(self, tmp_path):
        path = tmp_path / "c.sock"
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(str(path))
        with Daemon(tmp_path, {"web": pipeline()}, settings={"global": {"control": {"socket": str(path)}}}) as daemon:
            daemon.wait_for_polls(1)
            assert daemon.status()["state"] == "running"

    def test_a_live_one_is_an_error_that_names_the_other(self, daemon, tmp_path):
        settings = {"global": {"control": {"socket": daemon.socket}}}
        second = Daemon(tmp_path, {"web": pipeline()}, settings=settings)
        done = subprocess.run(second.arguments, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 1 and f"process {daemon.process.pid} listens there" in done.stderr, done
        assert daemon.status()["pid"] == daemon.process.pid

    @pytest.mark.parametrize("control, word", [
        ({"group": "no-such-group"}, "no-such-group"), ({"socket": "/proc/nowhere/c.sock"}, "/proc/nowhere"),
        ({"socket": "/" + "x" * 200}, "ENAMETOOLONG")])
    def test_what_cannot_be_is_said_at_the_start(self, tmp_path, control, word):
        broken = Daemon(tmp_path, {"web": pipeline()}, settings={"global": {"control": control}})
        done = subprocess.run(broken.arguments, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode in (1, 78) and word in done.stderr, done

    def test_none_is_none(self, tmp_path):
        settings = {"global": {"control": {"socket": "none"}, "metrics": {"listen": "none"}}}
        with Daemon(tmp_path, {"web": pipeline()}, settings=settings) as daemon:
            daemon.wait_for_polls(1)
            assert not [name for name in daemon.proc.descriptors().values() if name.startswith("socket:")]


class TestSignals:
    def test_hangup_is_honoured(self, daemon):
        before = sum("reload unchanged" in line for line in daemon.raw)
        daemon.hangup()
        bed.eventually(lambda: sum("reload unchanged" in line for line in daemon.raw) > before, what="a verdict")

    def test_hangup_right_before_main(self, tmp_path):
        environment = {**os.environ, "LD_PRELOAD": str(bed.TOOLS / "hangup-before-main.so")}
        with Daemon(tmp_path, {"web": pipeline()}, environment=environment) as daemon:
            daemon.wait_for_log("reload unchanged", timeout=10)
            daemon.wait_for_polls(2)

    def test_hangup_when_it_was_ignored(self, tmp_path):
        """nohup(1) leaves SIGHUP ignored; whoever asks for a reload gets one all the same."""
        with Daemon(tmp_path, {"web": pipeline()}, prefix=["nohup"]) as daemon:
            daemon.wait_for_polls(1)
            daemon.hangup()
            daemon.wait_for_log("reload unchanged", timeout=10)

    def test_other_commands_keep_the_default(self):
        environment = {**os.environ, "LD_PRELOAD": str(bed.TOOLS / "hangup-before-main.so")}
        done = bed.xtcpd("schema", "fields", env=environment)
        assert done.returncode == -1

    def test_hangup_at_a_hundred_random_moments(self, tmp_path):
        """From the moment at which the constructor has run (SigBlk shows SIGHUP) up to 300 ms later."""
        moments = random.Random(7)

        def start(number):
            with Daemon(tmp_path / str(number), {"web": pipeline(interval="10s")}) as daemon:
                blocked = f"/proc/{daemon.process.pid}/status"
                while True:
                    with open(blocked, encoding="ascii") as file:
                        mask = next(int(line.split()[1], 16) for line in file if line.startswith("SigBlk:"))
                    if mask & 1:
                        break
                time.sleep(0.3 * moments.random())
                daemon.hangup()
                daemon.wait_for_log("reload unchanged", timeout=20)
                daemon.check_alive()

        # Most of it is waiting.
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            list(pool.map(start, range(100)))

    def test_a_storm(self, daemon):
        def send():
            for _ in range(250):
                daemon.hangup()
                time.sleep(0.001)
        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert daemon.status()["state"] == "running"
        polls = len(daemon.polls())
        daemon.wait_for_polls(polls + 2)


def test_a_daemon_that_does_not_answer_is_69(patience):
    done = patience["silent"].result()
    assert done.returncode == 69 and "no answer within 10 s" in done.stderr, done
