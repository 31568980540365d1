/// The JSON Schema of configuration files (draft 2020-12), for editors and CI: completes keys, shows what they mean, and
/// checks what a schema can check. Rules that concern several settings or files remain to `xtcpd check`; since included
/// files follow it too, no section is required.
public enum JSONSchema {
  /// The schema as text; committed as schema/config.schema.json.
  public static func text() -> String { schema.text() + "\n" }

  private static var schema: JSONValue {
    .object([
      .init("$schema", .string("https://json-schema.org/draft/2020-12/schema")),
      .init("title", .string("xtcpd configuration")),
      .init("description", .string("Configuration of xtcpd, which reads the state of every TCP socket of a host.")),
      .init("type", .string("object")),
      .init("additionalProperties", .boolean(false)),
      .init("properties", .object(Section.allCases.map { .init($0.rawValue, section($0)) })),
      .init(
        "$defs",
        .object([
          .init("pipeline", pipeline),
          .init("sink", sink), .init("pipelineSink", pipelineSink),
          .init("selector", ValueType<NamespaceSelector>.definition.openInside),
          .init("reference", reference),
        ])),
    ])
  }

  private typealias Section = SettingsList.Section

  private static func section(_ section: Section) -> JSONValue {
    let doc = JSONValue.Member("description", .string(section.doc))
    switch section {
    case .version: return .object([doc, .init("const", .integer(1))])
    case .include:
      let pattern = JSONValue.object(.init("type", .string("string")), .init("minLength", .integer(1)))
      return .object([doc, .init("type", .string("array")), .init("items", pattern)])
    case .global: return JSONValue.object([doc]).adding(members(of: object(SettingsList.global)))
    case .defaults:
      let extends = JSONValue.object(.init("required", .strings([Profiles.key])))
      return .object([doc, .init("$ref", .string("#/$defs/pipeline")), .init("not", extends)])
    case .profiles: return named(doc, "#/$defs/pipeline", atLeastOne: false)
    case .sinks: return named(doc, "#/$defs/sink", atLeastOne: false)
    case .pipelines: return named(doc, "#/$defs/pipeline", atLeastOne: true)
    }
  }

  private static func named(_ doc: JSONValue.Member, _ reference: String, atLeastOne: Bool) -> JSONValue {
    var members: [JSONValue.Member] = [doc, .init("type", .string("object"))]
    if atLeastOne { members.append(.init("minProperties", .integer(1))) }
    members.append(.init("propertyNames", .object(.init("pattern", .string(SettingsList.namePattern)))))
    members.append(
      .init("additionalProperties", .anyOf([.object(.init("$ref", .string(reference))), .removal])))
    return .object(members)
  }

  /// A value that is put in when the file is read; what it is then is checked by `xtcpd check`.
  private static var reference: JSONValue {
    .object(
      .init("description", .string("A value from outside: `${env:X}`, `${file:/path}` or `${credential:name}`.")),
      .init("type", .string("string")), .init("pattern", .string("\\$\\{")))
  }

  private static var pipeline: JSONValue {
    let extends = JSONValue.object(
      .init(
        "description",
        .string("Profiles whose settings lie below these, the last one on top; `defaults` lies below all.")),
      .init("type", .string("array")),
      .init("items", .pattern(SettingsList.namePattern).open), .init("uniqueItems", .boolean(true)))
    guard case .object(let members) = object(SettingsList.pipeline, canRemove: true) else { return .null }
    return .object(
      members.map { member in
        guard member.key == "properties", case .object(let properties) = member.value else { return member }
        return .init(member.key, .object([.init(Profiles.key, extends)] + properties))
      })
  }

  /// The mapping that holds a table's settings, inner mappings included.
  private static func object<Root>(
    _ table: SettingsTable<Root>, under path: String = "", canRemove: Bool = false
  ) -> JSONValue {
    var members: [JSONValue.Member] = []
    if let doc = table.groups.first(where: { $0.path == path })?.doc {
      members.append(.init("description", .string(doc)))
    }
    let isGroup = canRemove && !path.isEmpty
    members.append(.init("type", isGroup ? .strings(["object", "null"]) : .string("object")))
    members.append(.init("additionalProperties", .boolean(false)))
    members.append(.init("properties", .object(properties(table, under: path, canRemove: canRemove))))
    return .object(members)
  }

  private static func properties<Root>(
    _ table: SettingsTable<Root>, under path: String, canRemove: Bool
  ) -> [JSONValue.Member] {
    let start = path.isEmpty ? "" : path + "."
    var members: [JSONValue.Member] = []
    for setting in table.settings where setting.description.path.hasPrefix(start) {
      let rest = setting.description.path.dropFirst(start.count)
      let key = String(rest.prefix { $0 != "." })
      if members.contains(where: { $0.key == key }) { continue }
      let value =
        rest == key ? property(setting, canRemove: canRemove) : object(table, under: start + key, canRemove: canRemove)
      members.append(.init(key, value))
    }
    return members
  }

  private static func property<Root>(_ setting: Setting<Root>, canRemove: Bool) -> JSONValue {
    var members = [JSONValue.Member("description", .string(setting.description.doc))]
    let schema = setting.description.schema.open
    members += self.members(of: canRemove ? .anyOf([schema, .removal]) : schema)
    if let builtIn = setting.builtIn { members.append(.init("default", json(builtIn))) }
    return .object(members)
  }

  /// A sink of the section `sinks`: which settings it takes depends on its type.
  private static var sink: JSONValue {
    .object([
      .init("type", .string("object")), .init("required", .strings(["type"])),
      .init(
        "properties",
        .object([
          .init(
            "type",
            .object([
              .init("description", .string(SinkType.all.map { "`\($0.name)`: \($0.doc)" }.joined(separator: " "))),
              .init(
                "anyOf",
                .array([
                  .object(.init("enum", .array(SinkType.all.flatMap(words)))),
                  .object(.init("$ref", .string("#/$defs/reference"))),
                ])),
            ]))
        ])),
      .init("allOf", .array(SinkType.all.map(variant))),
    ])
  }

  /// What stands after `type:` for a type; an unquoted `null` is YAML's null.
  private static func words(of type: SinkType) -> [JSONValue] {
    ([type.name] + type.aliases).map(JSONValue.string) + (type.aliases.contains("null") ? [.null] : [])
  }

  /// If a sink has this type, then it has these settings.
  private static func variant(_ type: SinkType) -> JSONValue {
    let isType = JSONValue.object([.init("type", .object([.init("enum", .array(words(of: type)))]))])
    let required = ["type"] + type.table.settings.map(\.description).filter(\.isRequired).map(\.path)
    let settings = [JSONValue.Member("type", .boolean(true))] + properties(type.table, under: "", canRemove: true)
    return .object([
      .init("if", .object([.init("properties", isType), .init("required", .strings(["type"]))])),
      .init(
        "then",
        .object([
          .init("description", .string(type.doc)), .init("required", .strings(required)),
          .init("additionalProperties", .boolean(false)), .init("properties", .object(settings)),
        ])),
    ])
  }

  /// A sink of a pipeline: defined in place, or a reference that may change any setting of any type but the type.
  private static var pipelineSink: JSONValue {
    var settings: [JSONValue.Member] = []
    for member in SinkType.all.flatMap({ properties($0.table, under: "", canRemove: true) })
    where !settings.contains(where: { $0.key == member.key }) {
      settings.append(member)
    }
    let reference = JSONValue.object([
      .init("type", .string("object")), .init("title", .string("a sink of the section `sinks`")),
      .init("additionalProperties", .boolean(false)), .init("properties", .object(settings)),
    ])
    return .object([
      .init("if", .object([.init("required", .strings(["type"]))])),
      .init("then", .object([.init("$ref", .string("#/$defs/sink"))])), .init("else", reference),
    ])
  }

  private static func members(of value: JSONValue) -> [JSONValue.Member] {
    if case .object(let members) = value { members } else { [] }
  }

  /// A default as JSON: numbers and booleans only where they are not quoted.
  private static func json(_ node: Node) -> JSONValue {
    switch node.content {
    case .sequence(let elements): return .array(elements.map(json))
    case .mapping(let entries): return .object(entries.map { .init($0.key, json($0.value)) })
    case .scalar(let scalar):
      if let integer = ScalarForm.integer(node) { return .integer(integer) }
      if scalar.isPlain, let boolean = Bool(scalar.text) { return .boolean(boolean) }
      return .string(scalar.text)
    }
  }
}

extension JSONValue {
  /// A schema that one of several satisfies; those of the same kind among them are taken apart.
  fileprivate static func anyOf(_ schemas: [JSONValue]) -> JSONValue {
    .object(
      .init(
        "anyOf",
        .array(
          schemas.flatMap { schema in
            if case .object(let members) = schema, members.count == 1, members[0].key == "anyOf",
              case .array(let inner) = members[0].value
            {
              return inner
            }
            return [schema]
          })))
  }

  /// This schema with `${...}` permitted for each property of the objects in it.
  fileprivate var openInside: JSONValue {
    switch self {
    case .array(let values): .array(values.map(\.openInside))
    case .object(let members):
      .object(
        members.map { member in
          guard member.key == "properties", case .object(let properties) = member.value else {
            return .init(member.key, member.value.openInside)
          }
          return .init(member.key, .object(properties.map { .init($0.key, $0.value.open) }))
        })
    default: self
    }
  }

  /// This schema with `${...}` permitted wherever it permits a scalar.
  fileprivate var open: JSONValue {
    let reference = JSONValue.object(.init("$ref", .string("#/$defs/reference")))
    guard case .object(let members) = self else { return self }
    if members.contains(where: { $0.key == "items" }) {
      return .object(members.map { $0.key == "items" ? .init("items", $0.value.open) : $0 })
    }
    if members.contains(where: { $0.key == "additionalProperties" }) { return self }
    if members.count == 1, members[0].key == "anyOf", case .array(let inner) = members[0].value {
      let isList = { (schema: JSONValue) in
        if case .object(let members) = schema { members.contains { $0.key == "items" } } else { false }
      }
      return .anyOf(inner.map { isList($0) ? $0.open : $0 } + [reference])
    }
    return .anyOf([self, reference])
  }
}
