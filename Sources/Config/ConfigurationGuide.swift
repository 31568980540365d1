/// The reference of the configuration file, made of the settings list.
public enum ConfigurationGuide {
  /// The reference as Markdown; committed as docs/configuration.md.
  public static func text() -> String {
    [introduction, sections, layers, files, references, global, pipelines, selectors, filters, sinks, rules]
      .joined(separator: "\n")
  }

  /// A configuration that uses most settings. A test reads it and checks it with the schema.
  static let example = """
    version: 1

    global:
      location: ams1
      label: edge

    defaults:
      interval: 10s
      reader: { mode: auto, recv_batch: 8 }

    sinks:
      local: { type: file, path: /var/log/xtcpd/sockets.jsonl, format: jsonl }

    pipelines:
      host:
        namespaces: { include: [host] }
        sinks: { local: {} }
      pods:
        interval: 1s
        timeout: 500ms
        attributes: [info, cong, skmem]
        sample: { every: 10 }
        namespaces:
          include: [{ name: "cni-*" }]
          exclude: [{ name: "cni-test-*" }]
        filter: { states: [established, close_wait], destination_port: [443, 8000-8999], not: { destination: 127.0.0.0/8 } }
        sinks:
          out: { type: stdout, format: csv, columns: [timestamp_ns, netns, tcp_info_rtt] }

    """

  private static let introduction = """
    <!-- Made of Sources/Config/SettingsList.swift; change it there, then run XTCPD_REGENERATE=1 swift test. -->
    # Configuration

    xtcpd reads one YAML file. `xtcpd check --config FILE` says everything that is wrong with it at once, each with its line,
    column and what to do, and needs no rights. Editors complete and check with `schema/config.schema.json`
    (`xtcpd schema config`): put `# yaml-language-server: $schema=PATH` on the first line.

    ```yaml
    \(example)```

    A pipeline reads the sockets of some network namespaces at an interval and writes one row for each to its sinks.
    `xtcpd config show --origin` says what every setting is in the end and which line it comes from.

    """

  private static var sections: String {
    let rows = SettingsList.Section.allCases.map { section in
      let need = [.version, .pipelines].contains(section) ? "required, in some file" : "optional"
      return "| `\(section.rawValue)` | \(need) | \(section.doc) |"
    }
    return (["## Sections", "", "| key | | |", "|---|---|---|"] + rows + [""]).joined(separator: "\n")
  }

  private static var global: String {
    "## `global`\n\n\(SettingsList.Section.global.doc)\n\n" + table(SettingsList.global.settings)
  }

  private static var pipelines: String {
    """
    ## `pipelines`, `defaults` and `profiles`

    `pipelines` maps names (1 to 64 of `A-Za-z0-9_.-`) to pipelines, at least one of them enabled. `defaults` takes the same
    settings, for all pipelines, and so does each of the `profiles`. Pipelines and profiles also take `extends`, a list of
    profiles.

    \(table(SettingsList.pipeline.settings))
    """
  }

  private static let selectors = """
    ## Selectors

    | selector | namespaces |
    |---|---|
    | `host` | that of PID 1 under `paths.proc` |
    | `all` | every one that is found |
    | `rest` | those that no other enabled pipeline selects; pipelines that select by `rest` themselves do not count |
    | `{name: GLOB}` | by name: `host`, the file name in a directory of `paths.netns`, the path of any other mount, `net:[INODE]` |
    | `{path: GLOB}` | by where they are mounted; any mount counts |
    | `{inode: N}` | by inode number, as `ls -l /proc/PID/ns/net` shows it |
    | `{pid: N}` | that of a process, as `paths.proc` numbers it |
    | `{cgroup: GLOB}` | by the control group of their first process (that with the lowest PID), such as `/kubepods/*`, as /proc/PID/cgroup shows it. With version 1 the path in any hierarchy counts, unless `paths.cgroup` is where version 2 is mounted |

    Mounts are noticed as they change, processes once per `discovery.interval`.

    """

  private static let filters = """
    ## Filters

    A socket is kept if it satisfies **all** keys of `filter`, each by **any** element of its list. It is dropped if it
    satisfies **any** key of `filter.not`.

    ```yaml
    filter:
      destination_port: [443, 8000-8999]
      not: { destination: [127.0.0.0/8, "::1"], states: time_wait }
    ```

    keeps what is connected to port 443 or to one of 8000 to 8999, but neither what is connected within this host nor
    what is in TIME_WAIT. An IPv4 address that an IPv6 socket uses (`::ffff:10.1.2.3`) matches IPv4 prefixes, and IPv6
    prefixes as well. A list of one may be written without its brackets. Sockets that are left out are counted as filtered.

    """

  private static var sinks: String {
    var text =
      "## Sinks\n\nThe section `sinks` and the key `sinks` of a pipeline map names (as of pipelines) to sinks. "
    text += "Every sink takes:\n\n" + table(SinkType.common)
    text += "\nand, depending on its `type`:\n"
    for type in SinkType.all {
      let aliases = type.aliases.map { ", also written `\($0)`" }.joined()
      text += "\n### `type: \(type.name)`\(aliases)\n\n\(type.doc)\n"
      if !type.own.isEmpty { text += "\n" + table(type.own) }
    }
    return text
  }

  private static let rules = """
    ## Types

    | type | how it is written |
    |---|---|
    | integer | decimal digits, unquoted: `8`; not `0x8`, `010`, `8_000` or `"8"` |
    | duration | whole numbers, each with its unit (\(units(Units.durations.map(\.unit)))), largest first: `500ms`, `10s`, `1m30s` |
    | size | a whole number with its unit (\(units(Units.sizes.map(\.unit)))): `768KiB` |
    | boolean | `true` or `false` |
    | text | anything; in quotes if YAML would read it as a number, a boolean or null: `"007"`, `"no"` |
    | path | absolute |
    | prefix | an address, or a network with the number of its bits: `10.0.0.0/8`, `2001:db8::/32`; an IPv6 address that begins or ends with `:` in quotes |
    | port or range | `443`, `8000-8999` |
    | file mode | octal digits in quotes: `"0640"` |
    | GLOB | `*` matches any run of characters, `/` included, `?` any one, `[a-z]` one of a set, `[!a-z]` one not of it, `\\` takes the next character as it is |

    ## The file

    UTF-8 without byte order mark, indented with spaces, one document, at most \(ConfigurationFile.maximumBytes >> 20) MiB,
    \(Composer.maximumEntries) entries in one list or mapping and \(Composer.maximumDepth) levels; all files together at most
    \(ConfigurationFile.maximumTotalBytes >> 20) MiB, \(ConfigurationFile.maximumFiles) files, \(Composer.maximumNodes) values and \(Assembly.maximumSinks) sinks of pipelines. A key that
    is not listed here is an error, and so is one given twice. Anchors and aliases work within a file and count as if written
    out; tags other than `!override`, directives and merge keys (`<<`) are errors. A path must name a regular file.

    ## Rules between settings

    - `timeout` is below `interval`.
    - `reader.recv_batch` is at most `pools.receive_buffers`.
    - `columns` needs a format that has columns: \(FormatName.allCases.filter(\.hasColumns).map { "`\($0.rawValue)`" }.joined(separator: ", ")).
    - `filter.not.states` leaves some of `filter.states`.
    - An enabled pipeline has an enabled sink.
    - A warning, not an error: two sinks that write different formats to one place, or the same rows twice.

    """

  private static func units(_ units: [String]) -> String {
    units.reversed().map { "`\($0)`" }.joined(separator: ", ")
  }

  private static func table<Root>(_ settings: [Setting<Root>]) -> String {
    var lines = ["| key | type | default | allowed | |", "|---|---|---|---|---|"]
    for setting in settings.map(\.description) {
      let value = setting.isRequired ? "required" : setting.defaultText.map { "`\($0)`" } ?? setting.otherwise ?? ""
      let cells = ["`\(setting.path)`", setting.type, value, setting.allowed, setting.doc]
      lines.append("| " + cells.joined(separator: " | ") + " |")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
