import ArgumentParser

@main
struct XTCPD: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "xtcpd",
    abstract:
      "Reads the kernel's state of every TCP socket in every network namespace and ships a flat record of each.",
    discussion: """
      Start with one look at this host:
        sudo xtcpd snapshot --all

      Then write a configuration, check it, and run it:
        xtcpd check --config /etc/xtcpd/xtcpd.yaml
        sudo xtcpd run --config /etc/xtcpd/xtcpd.yaml

      And ask the daemon that runs:
        xtcpd status --watch
        xtcpd reload

      Exit codes: 0 fine, 1 failed, 64 usage, 69 the daemon is not reachable, 77 a right is missing, 78 the configuration is invalid \
      or asks for more than there is.
      """,
    version: BuildInfo.version,
    subcommands: [
      Run.self, Check.self, ConfigCommand.self, Plan.self, Reload.self, Status.self, Poll.self, Snapshot.self,
      Schema.self,
      Decode.self,
    ])
}
