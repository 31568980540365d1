extension Node {
  /// What becomes of a null that has nothing to remove.
  enum IdleNulls {
    /// It stays, to be reported where the value is read.
    case kept
    /// It goes: whether there is something to remove depends on who uses the layer.
    case dropped
  }

  /// This layer with `later` laid over it: mappings merge key by key, everything else is replaced, and a null removes
  /// what there is, so that `lowest` (what nobody has set) shows again. Keys keep the order in which they first appeared.
  func layered(under later: Node, lowest: Node? = nil, idleNulls: IdleNulls = .dropped) -> Node {
    guard case .mapping(var entries) = content, case .mapping(let laterEntries) = later.content else { return later }
    for laterEntry in laterEntries {
      let lowestEntry = lowest?.entry(laterEntry.key)
      guard let index = entries.firstIndex(where: { $0.key == laterEntry.key }) else {
        if !laterEntry.value.isNull || idleNulls == .kept {
          entries.append(laterEntry.inserted(idleNulls))
        }
        continue
      }
      let earlier = entries[index]
      if laterEntry.value.isNull {
        if earlier.value.mark != lowestEntry?.value.mark {
          if let lowestEntry { entries[index] = lowestEntry } else { entries.remove(at: index) }
        } else if idleNulls == .kept {
          entries[index] = laterEntry
        }
      } else {
        entries[index] = earlier.replaced(by: laterEntry, lowestEntry?.value, idleNulls)
      }
    }
    return Node(content: .mapping(entries), mark: later.mark, weight: 1 + entries.reduce(0) { $0 + $1.value.weight })
  }

  /// This layer, of which nothing can be removed, with `later` laid over it, nulls included as they are.
  func merged(under later: Node) -> Node { layered(under: later, lowest: self, idleNulls: .kept) }
}

extension Node.Entry {
  /// What a later layer makes of this entry.
  fileprivate func replaced(by later: Node.Entry, _ lowest: Node?, _ idleNulls: Node.IdleNulls) -> Node.Entry {
    var entry = later
    entry.value = value.layered(under: later.value, lowest: lowest, idleNulls: idleNulls)
    let isMerged = value.entries != nil && later.value.entries != nil
    if !isMerged, !keyMark.isBuiltIn { entry.replaced += [keyMark] + replaced }
    return entry
  }

  /// The entry where no earlier layer has the key; nulls in it have nothing to remove either.
  fileprivate func inserted(_ idleNulls: Node.IdleNulls) -> Node.Entry {
    guard idleNulls == .dropped, value.entries != nil else { return self }
    var entry = self
    entry.value = Node.emptyMapping(at: value.mark).layered(under: value)
    return entry
  }
}
