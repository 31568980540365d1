/// How the parts of a configuration come together.
extension ConfigurationGuide {
  /// Examples of the reference by name, each a whole configuration that a test reads.
  static let layerExample = """
    version: 1
    defaults:
      interval: 10s
      queue: { bytes: 16MiB }
    profiles:
      low_impact: { interval: 60s, reader: { mode: syscall } }
      quiet: { extends: [low_impact], filter: { states: [established] } }
    sinks:
      local: { type: file, path: /var/log/xtcpd/sockets.jsonl, queue: { bytes: 32MiB } }
    pipelines:
      host:
        extends: [quiet]              # 60s, syscall, established
        reader: { mode: ~ }           # what is built in again: auto
        namespaces: { include: [host] }
        sinks: { local: {} }          # a queue of 32MiB
      pods:
        queue: { bytes: 64MiB }
        namespaces: { include: [{ name: "cni-*" }] }
        sinks:
          local: {}                   # a queue of 64MiB
          raw: { type: stdout, queue: { bytes: 1MiB } }

    """

  static let layers = """
    ## Layers

    The settings of a pipeline are, later ones winning:

    1. what is built in, and `label` and `tag` of `global`;
    2. `defaults`;
    3. the sink's definition in the section `sinks`, for what a sink has;
    4. the profiles that the pipeline `extends`, the last one on top; each lies above the profiles that it extends itself,
       and one that is needed twice lies where it is needed first;
    5. the pipeline;
    6. what the pipeline says under `sinks` of the sink alone.

    Mappings merge key by key; lists and everything else replace. `queue` and `retry` of `defaults`, a profile or a pipeline
    are for all of its sinks, and below what the same layer says of one sink. A sink of a pipeline is one of the section
    `sinks` that it names (`{}` to change nothing), or, if it has a `type`, the pipeline's own.

    `key: ~` (or `null`, or nothing) removes what lower layers say, so that what is built in shows again; it works for a
    whole mapping (`reader: ~`) and for a sink (`sinks: { local: ~ }`). Where there is nothing to remove it is an error,
    except in a profile and in a shared sink, which do not know what they lie above. `enabled: false` checks a pipeline or
    sink but does not run it.

    ```yaml
    \(layerExample)```

    """

  static let files = """
    ## Several files

    `include` lists files and patterns (`*`, `?`, `[a-z]`), relative to the file that has it. A pattern's matches come in
    lexical order and may be none; names that begin with a dot are left out. A path without wildcards must exist. Included
    files may include others; a file that two patterns match is read once, one that includes itself is an error.

    ```yaml
    # /etc/xtcpd/xtcpd.yaml
    version: 1
    include: [conf.d/*.yaml]
    defaults: { interval: 10s, sinks: { local: {} } }
    sinks: { local: { type: file, path: /var/log/xtcpd/sockets.jsonl } }
    ```

    ```yaml
    # /etc/xtcpd/conf.d/50-web.yaml
    pipelines:
      web: { namespaces: { include: [{ name: "web-*" }] } }
    ```

    ```yaml
    # /etc/xtcpd/conf.d/90-this-host.yaml
    defaults: { interval: !override 30s }
    pipelines:
      web: { label: canary }
    ```

    Mappings of all files join, so that each may add pipelines, sinks, profiles, and keys to them. What two files both set (a
    number, a text, a list) is an error, unless the later one is tagged `!override`: then it takes the place of the earlier
    one as a whole, be it a mapping; `!override ~` removes it. `version` may repeat. Files join before layers are laid.

    `xtcpd check` prints a hash of all files as they are written. It is the same in CI and on a host if the files are, whatever
    the main file is called and wherever it lies, and whatever `${...}` stands for there.

    """

  static let references = """
    ## Values from outside

    In every value, not in keys and not in `include`:

    | | |
    |---|---|
    | `${env:X}` | the environment variable, an error if it is not set |
    | `${env:X:-text}` | `text` if it is not set or empty |
    | `${env:X:?text}` | an error that says `text` if it is not set or empty |
    | `${file:/path}` | what a regular file of at most \(ValueExpander.maximumFileBytes >> 10) KiB holds, without one line break at its end |
    | `${credential:name}` | the same of a credential that systemd gives (`LoadCredential=`), from `$CREDENTIALS_DIRECTORY` |
    | `$$` | a dollar; one that is followed by neither `$` nor `{` is a dollar too |

    They are put in after the file has been parsed and before the value is read: whatever they stand for is one value and
    never becomes a list, a mapping or a null, and quotes around it make no difference. In `{ }` and `[ ]` YAML needs them:
    `{ rows: "${env:ROWS}" }`. What a `${...}` stands for is never shown, logged or kept: messages and `xtcpd config show`
    have it as it is written.

    `xtcpd check --unresolved warn` takes for valid what needs variables, files or credentials that are not there: for CI.

    """
}
