"""rsyslog behind the tcp sink: a line is a message, and a message a line of its file."""
import shutil

from servers.process import Program

LONGEST = 1 << 20


class Rsyslog(Program):
    """Takes lines over TCP (imtcp) and appends each, as it came, to a file, which is on disk with the message. `tls`:
    a certificates.Pair; TLS is OpenSSL's. It keeps nothing in memory longer than it takes to write it, but a message
    that it has read and not yet written goes with kill(): TCP acknowledges nothing more."""

    def __init__(self, *, tls=None):
        super().__init__()
        self.tls = tls

    def arguments(self):
        driver = f'''DefaultNetstreamDriver="ossl" DefaultNetstreamDriverCAFile="{self.tls.certificate}"
          DefaultNetstreamDriverCertFile="{self.tls.certificate}"
          DefaultNetstreamDriverKeyFile="{self.tls.key}"''' if self.tls else ""
        secure = 'StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon"' if self.tls else ""
        # Octets are not counted: a row of csv begins with a digit.
        (self.folder / "rsyslog.conf").write_text(f'''
          global(workDirectory="{self.folder}" maxMessageSize="{LONGEST}" {driver}
                 parser.escapeControlCharactersOnReceive="off")
          module(load="imtcp" {secure})
          template(name="as-it-came" type="string" string="%rawmsg%\\n")
          ruleset(name="rows") {{
            action(type="omfile" file="{self.folder}/rows" template="as-it-came" ioBufferSize="1m")
          }}
          input(type="imtcp" address="127.0.0.1" port="{self.port}" ruleset="rows" supportOctetCountedFraming="off")
        ''')
        program = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin")
        return [program, "-n", "-f", str(self.folder / "rsyslog.conf"), "-i", str(self.folder / "pid")]

    def read_all(self):
        """The lines so far, as bytes without their ends."""
        path = self.folder / "rows"
        return path.read_bytes().splitlines() if path.exists() else []
