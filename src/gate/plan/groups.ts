/**
 * Which tables of a statement are found together on each shard, and where.
 *
 * Two rows stand on one shard when their shard keys are equal (equality.ts says when SQL's equality is enough). So:
 *
 * - An equality that holds for every row of the answer (WHERE, inner ON) merges its two columns into one class; tables of one vindex whose shard
 *   key columns are in the same classes form a group.
 * - An equality in the ON of an outer join, or in a subquery, between a column inside and one outside says only where the *inner* rows are that can match: it attaches the
 *   inner group to the outer one. It must not merge classes: `(a, b) LEFT JOIN c ON c.k = a.k AND c.k = b.k` does not make a.k equal b.k, and a row of
 *   a on one shard with a row of b on another is in the answer.
 * - Between two outside columns it says nothing.
 *
 * A group that nothing attaches is a root. With one root the statement can run on each shard by itself; with several only when all of them come to the
 * same single shard.
 */
import type { Vindex } from '../../keyspace/vindex.ts'
import type { ColumnInfo } from './catalog.ts'
import { exactness, familyOf, sameIdWhenEqual } from './equality.ts'
import { planErrors } from './errors.ts'
import { readableLookups } from './lookup.ts'
import type { Destination, LookupDestination, RoutedColumn, Slot } from './plan.ts'
import type { BoundColumn, BoundTable, Context } from './scope.ts'

type Group = { readonly vindex: Vindex; readonly classes: readonly string[]; readonly tables: BoundTable[]; attached: Group | null }

/** Grouping looks at pairs of tables. */
const tablesMax = 256

export type Root = { readonly tables: readonly BoundTable[]; readonly destination: Destination }

export class Groups {
  readonly #tables: BoundTable[] = []
  readonly #equalities: { a: BoundColumn; b: BoundColumn }[] = []
  readonly #links: { inside: BoundColumn; outside: BoundColumn }[] = []
  readonly #restrictions: { bound: BoundColumn; slots: readonly Slot[] }[] = []
  /** As of all that was said so far. */
  #known: Group[] | null = null
  /** The classes as each vindex sees them. */
  readonly #united = new Map<Vindex, ReadonlyMap<string, string>>()
  readonly #ranges: { bound: BoundColumn; low: Slot | null; high: Slot | null }[] = []

  addTable(table: BoundTable): void {
    this.#forget()
    this.#tables.push(table)
    if (this.#tables.length > tablesMax) {
      throw planErrors.refused({
        construct: `a statement with more than ${tablesMax} tables`,
        reason: 'finding out which of them stand together would take too long',
        instead: 'ask in several statements (a server joins 61 tables at most)',
      })
    }
  }

  equate(a: BoundColumn, b: BoundColumn, context: Context): void {
    this.#forget()
    const [insideA, insideB] = [a.table.context.within(context), b.table.context.within(context)]
    if (insideA && insideB) this.#equalities.push({ a, b })
    else if (insideA) this.#links.push({ inside: a, outside: b })
    else if (insideB) this.#links.push({ inside: b, outside: a })
  }

  restrict(bound: BoundColumn, slots: readonly Slot[], context: Context): void {
    this.#forget()
    if (bound.table.context.within(context)) this.#restrictions.push({ bound, slots })
  }

  /** `low <= column <= high`. */
  bound(bound: BoundColumn, low: Slot | null, high: Slot | null, context: Context): void {
    if ((low === null && high === null) || !bound.table.context.within(context)) return
    this.#forget()
    this.#ranges.push({ bound, low, high })
  }

  /** Pairs of columns that are equal in every row that matters of `inside`: of both when they stand in the same context. */
  reducing(): { readonly inside: BoundColumn; readonly by: BoundColumn }[] {
    return [
      ...this.#equalities.flatMap(({ a, b }) => [
        { inside: a, by: b },
        { inside: b, by: a },
      ]),
      ...this.#links.map(({ inside, outside }) => ({ inside, by: outside })),
    ]
  }

  /** Where the rows of one table are that matter to the answer. */
  destinationOf(table: BoundTable): Destination {
    if (table.entry?.kind === 'pinned') return { kind: 'keyspace-id', id: table.entry.keyspaceId }
    for (let group = this.#all().find((g) => g.tables.includes(table)) ?? null; group !== null; group = group.attached) {
      const destination = this.#destination(group)
      if (destination.kind !== 'all') return destination
    }
    return { kind: 'all' }
  }

  #all(): Group[] {
    if (this.#known !== null) return this.#known
    const groups: Group[] = []
    for (const vindex of new Set(
      this.#tables.flatMap((table) => (table.entry?.kind === 'sharded' ? [table.entry.primaryVindex.vindex] : [])),
    )) {
      groups.push(...this.#groupsOf(vindex))
    }
    this.#attach(groups)
    this.#known = groups
    return groups
  }

  roots(): Root[] {
    const roots: Root[] = []
    const groups = this.#all()
    for (const group of groups) if (group.attached === null) roots.push({ tables: group.tables, destination: this.#destination(group) })
    for (const table of this.#tables) {
      if (table.entry?.kind === 'pinned') roots.push({ tables: [table], destination: { kind: 'keyspace-id', id: table.entry.keyspaceId } })
    }
    return roots
  }

  #forget(): void {
    this.#known = null
    this.#united.clear()
  }

  #groupsOf(vindex: Vindex): Group[] {
    const groups = new Map<string, Group>()
    for (const table of this.#tables) {
      if (table.entry?.kind !== 'sharded' || table.entry.primaryVindex.vindex !== vindex) continue
      const classes = table.entry.primaryVindex.columns.map((column) => this.#class(vindex, table.id + '.' + column.toLowerCase()))
      const signature = classes.join(' ')
      const group = groups.get(signature)
      if (group === undefined) groups.set(signature, { vindex, classes, tables: [table], attached: null })
      else group.tables.push(table)
    }
    return [...groups.values()]
  }

  #class(vindex: Vindex, key: string): string {
    let classes = this.#united.get(vindex)
    if (classes === undefined) this.#united.set(vindex, (classes = this.#unite(vindex)))
    return classes.get(key) ?? key
  }

  #attach(groups: readonly Group[]): void {
    const links = new Map<Vindex, Set<string>>()
    for (const group of groups) {
      const { vindex } = group
      let linked = links.get(vindex)
      if (linked === undefined) links.set(vindex, (linked = this.#linked(vindex)))
      const target = groups.find((other) => {
        if (other === group || other.vindex !== vindex) return false
        if (!group.classes.every((inside, i) => linked.has(`${inside}\0${other.classes[i]}`))) return false
        for (let up: Group | null = other; up !== null; up = up.attached) if (up === group) return false
        return true
      })
      group.attached = target ?? null
    }
  }

  /** The classes of columns inside, each with one outside that says where its rows are. */
  #linked(vindex: Vindex): Set<string> {
    return new Set(
      this.#links.flatMap(({ inside, outside }) =>
        sameIdWhenEqual(inside.column, outside.column, vindex)
          ? [`${this.#class(vindex, keyOf(inside))}\0${this.#class(vindex, keyOf(outside))}`]
          : [],
      ),
    )
  }

  /** By column, which stands for all that are equal to it. */
  #unite(vindex: Vindex): Map<string, string> {
    const members = new Map<string, string[]>()
    const classes = new Map<string, string>()
    for (const { a, b } of this.#equalities) {
      const [left, right] = [classes.get(keyOf(a)) ?? keyOf(a), classes.get(keyOf(b)) ?? keyOf(b)]
      if (left === right || !sameIdWhenEqual(a.column, b.column, vindex)) continue
      // The smaller one takes the other's name: no column is renamed more often than the classes double.
      const [ofLeft, ofRight] = [members.get(left) ?? [left], members.get(right) ?? [right]]
      const [name, kept, taken] = ofLeft.length > ofRight.length ? [left, ofLeft, ofRight] : [right, ofRight, ofLeft]
      for (const column of taken) {
        classes.set(column, name)
        kept.push(column)
      }
      members.set(name, kept)
    }
    return classes
  }

  #destination(group: Group): Destination {
    const columns: RoutedColumn[] = []
    for (const name of group.classes) {
      let best: RoutedColumn | null = null
      for (const { bound, slots } of this.#restrictions) {
        if (this.#class(group.vindex, keyOf(bound)) !== name || exactness(bound.column, group.vindex) === 'never') continue
        if (best === null || slots.length < best.slots.length) best = { column: bound.column, slots }
      }
      if (best === null) break
      columns.push(best)
    }
    const { vindex } = group
    if (columns.length === vindex.columns || (columns.length > 0 && vindex.mapPrefix !== undefined))
      return { kind: 'values', vindex, columns }
    return this.#between(group) ?? this.#lookup(group) ?? { kind: 'all' }
  }

  #between(group: Group): Destination | null {
    const [name] = group.classes
    if (group.vindex.mapBetween === undefined || group.classes.length !== 1) return null
    const ranges = this.#ranges.filter(({ bound }) => this.#class(group.vindex, keyOf(bound)) === name && isOrdered(bound.column))
    if (ranges.length === 0) return null
    return { kind: 'between', vindex: group.vindex, ranges: ranges.map(({ bound: { column }, low, high }) => ({ column, low, high })) }
  }

  /** The cheapest lookup of any of its tables whose first columns are restricted. */
  #lookup(group: Group): Destination | null {
    let best: { destination: LookupDestination; cost: number } | null = null
    for (const table of group.tables) {
      for (const { lookup, columns } of readableLookups(table)) {
        const routed: RoutedColumn[] = []
        for (const column of columns) {
          const found = this.#restrictions
            .filter(({ bound }) => bound.table === table && bound.column === column)
            .toSorted((a, b) => a.slots.length - b.slots.length)[0]
          if (found === undefined) break
          routed.push({ column, slots: found.slots })
        }
        // A row with a NULL further on has no row in the lookup: a prefix would miss it.
        if (routed.length === 0 || columns.slice(routed.length).some((column) => column.nullable)) continue
        const cost = lookup.cost - routed.length
        if (best === null || cost < best.cost) best = { destination: { kind: 'lookup', lookup, columns: routed }, cost }
      }
    }
    return best?.destination ?? null
  }
}

/** Compared by the server as a vindex that keeps order compares ids: negative numbers are ids above all others. */
function isOrdered(column: ColumnInfo): boolean {
  return (familyOf(column) === 'integer' && column.unsigned) || column.dataType === 'varbinary'
}

function keyOf(bound: BoundColumn): string {
  return bound.table.id + '.' + bound.column.name.toLowerCase()
}
