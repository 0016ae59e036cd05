/**
 * Groups that span shards: what each shard is asked for, and how the parts make one row.
 *
 * COUNT, SUM, BIT_*: the parts' sum (or bits). MIN, MAX: the smallest, compared as the server compares the column. AVG: hidden SUM and COUNT, divided
 * exactly; the AVG itself is still asked for, as its metadata says the result's type and scale. DISTINCT inside an aggregate only over a shard key: no value is
 * then on two shards. HAVING, ORDER BY and LIMIT are about finished groups: they are cut out of the shards' text and done at the gate.
 */
import type { CallExpr, Expr, Select } from '../../sql/ast.ts'
import { walkExpr } from '../../sql/walk.ts'
import { type Columns, type Key, type Ref, weightOf } from './columns.ts'
import { exactness, familyOf } from './equality.ts'
import { isAggregate, isMergeable } from './functions.ts'
import { havingOf } from './having.ts'
import type { AggregateColumn, GroupKey, MergeTemplate, SortKey } from './plan.ts'
import { ScatterRefused } from './refuse.ts'
import { isSameEverywhere } from './same-everywhere.ts'
import { hasAggregate, isConstant, limitOf, named, refuseAliases } from './select-parts.ts'
import { bare } from './slots.ts'
import { text } from './text.ts'

type Pending = (columns: Columns) => AggregateColumn

/** @throws ScatterRefused */
export function aggregateMerge(columns: Columns): MergeTemplate {
  const { select } = columns
  const merged = new Aggregates(columns)
  const groupKeys: Key[] = []
  const groupOrder: { readonly key: Key; readonly descending: boolean }[] = []
  if (select.groupBy !== null) {
    for (const group of select.groupBy.items) {
      const { expr, item } = named(group.expr, columns, 'column')
      if (hasAggregate(expr)) throw new ScatterRefused('GROUP BY an aggregate', 'no server takes it')
      if (item === null) refuseAliases(expr, columns, 'by columns')
      if (item === null && hasParameter(expr))
        throw new ScatterRefused(
          'GROUP BY an expression with a parameter',
          'MySQL takes the same words for another expression where a parameter stands in them, so it can not be selected beside',
          'select it and group by its alias',
        )
      const key = columns.keyOf(expr, item, 'GROUP BY')
      if (key === null) continue
      groupKeys.push(key)
      groupOrder.push({ key, descending: group.descending })
    }
    select.items.forEach((item, i) => merged.item(item.expr, i))
  } else if (select.distinct) {
    select.items.forEach((item, i) => groupKeys.push(...distinctKeys(columns, item.expr, i)))
  } else select.items.forEach((item, i) => merged.item(item.expr, i))

  const having = select.having === null ? null : havingOf(select.having.expr, columns, (expr) => merged.refOf(expr))
  // One row has no order; what is asked for is left to the shards, who say whether it can be.
  const ordered = isOneRow(select) ? [] : (select.orderBy?.items ?? [])
  // MariaDB orders by what GROUP BY says where nothing else is said, and MySQL by nothing.
  const sort =
    select.groupBy !== null && select.orderBy === null
      ? groupOrder
      : ordered.flatMap((order) => {
          const { expr, item } = named(order.expr, columns, 'alias')
          if (hasAggregate(expr)) {
            const ref = item === null ? merged.refOf(expr) : merged.orderable(expr, item)
            return [{ key: merged.exactKeyOf(expr) ?? { ref, compare: 'byType' as const }, descending: order.descending }]
          }
          if (item === null) refuseAliases(expr, columns)
          const key = columns.keyOf(expr, item, 'ORDER BY')
          return key === null ? [] : [{ key, descending: order.descending }]
        })
  return {
    kind: 'aggregate',
    hiddenColumns: columns.hidden.length,
    groupBy: groupKeys.map((key): GroupKey => ({ column: columns.index(key.ref), compare: key.compare })),
    columns: merged.finish(),
    having: having === null ? null : having(),
    keys: sort.map(({ key, descending }): SortKey => ({ column: columns.index(key.ref), compare: key.compare, descending })),
    ...limitOf(select),
  }
}

/** All rows are one group. */
export function isOneRow(select: Select): boolean {
  return select.groupBy === null && !select.distinct
}

function hasParameter(expr: Expr): boolean {
  let found = false
  walkExpr(expr, {
    expr(node) {
      found ||= node.kind === 'parameter'
    },
  })
  return found
}

/** `/`, which MariaDB computes to whole groups of nine digits, and what a subquery's average and its like are shown as: they have more digits, too. */
function hasVariable(expr: Expr): boolean {
  let found = false
  walkExpr(expr, { expr: (node) => void (found ||= node.kind === 'user-variable') })
  return found
}

function hasQuotient(expr: Expr): boolean {
  let found = false
  walkExpr(expr, {
    expr(node) {
      found ||= node.kind === 'binary' && node.operator === '/'
      found ||= node.kind === 'call' && /^(AVG|STD|STDDEV|STDDEV_POP|STDDEV_SAMP|VARIANCE|VAR_POP|VAR_SAMP)$/.test(node.name)
    },
  })
  return found
}

/** DISTINCT over `*`: every visible column of its tables. */
function distinctKeys(columns: Columns, expr: Expr, item: number): Key[] {
  if (expr.kind === 'star') throw new ScatterRefused('DISTINCT *', 'the columns are not named', 'name the columns')
  const key = columns.keyOf(expr, item, 'DISTINCT')
  return key === null ? [] : [key]
}

class Aggregates {
  readonly #columns: Columns
  readonly #pending: Pending[] = []
  /** Aggregates by their words: one that stands in the list is not asked for twice. */
  readonly #known = new Map<string, Ref>()
  readonly #exact = new Map<string, Key>()

  constructor(columns: Columns) {
    this.#columns = columns
  }

  item(given: Expr, item: number): void {
    const expr = bare(given)
    if (expr.kind === 'star' || !hasAggregate(expr)) {
      // Every shard makes its row, of those without rows too: it says NULL there, and which shard's row is kept is chance.
      const { analysis } = this.#columns
      if (this.#columns.select.groupBy === null && !isConstant(expr, (query) => isSameEverywhere(analysis, query)))
        throw new ScatterRefused('a column beside an aggregate of all rows', 'a shard without rows has no value of it', 'group by it')
      return
    }
    if (expr.kind !== 'call' || !isAggregate(expr)) {
      throw new ScatterRefused(
        'an expression over an aggregate',
        'only the aggregates themselves are merged',
        'select the aggregates and compute from them',
      )
    }
    this.#add(expr, { item })
  }

  /** The merged column that an aggregate in HAVING or ORDER BY means; a hidden one when the list has it not. */
  refOf(given: Expr): Ref {
    const expr = bare(given)
    if (expr.kind !== 'call' || !isAggregate(expr)) {
      throw new ScatterRefused(
        'an expression over an aggregate',
        'only the aggregates themselves are merged',
        'give the aggregate an alias and use that',
      )
    }
    const words = this.#columns.analysis.wordsOf(expr.span)
    const known = words === null ? undefined : this.#known.get(words)
    if (known !== undefined) return known
    const ref = this.#columns.addHidden(`aggregate ${expr.span.from}`, this.#columns.copyOf(expr))
    this.#add(expr, ref)
    return ref
  }

  /** By what MIN or MAX was found, where its own text says less. */
  exactKeyOf(given: Expr): Key | null {
    const words = this.#columns.analysis.wordsOf(bare(given).span)
    return words === null ? null : (this.#exact.get(words) ?? null)
  }

  orderable(expr: Expr, item: number): Ref {
    const call = bare(expr)
    if (call.kind !== 'call' || !isAggregate(call))
      throw new ScatterRefused('an expression over an aggregate', 'only the aggregates themselves are merged')
    return { item }
  }

  finish(): AggregateColumn[] {
    return this.#pending.map((make) => make(this.#columns))
  }

  #add(call: CallExpr, ref: Ref): void {
    if (!isMergeable(call)) throw new ScatterRefused(`${call.name}()`, "it can not be made of the shards' parts exactly")
    if (call.distinct && call.name !== 'MIN' && call.name !== 'MAX' && !this.#distinctIsLocal(call)) {
      throw new ScatterRefused(
        `${call.name}(DISTINCT …)`,
        'a value may be on several shards and would count twice',
        'group by the shard key, or count distinct shard keys',
      )
    }
    if ((call.name === 'SUM' || call.name === 'AVG') && call.args.some(hasQuotient))
      throw new ScatterRefused(
        `${call.name}() of quotients`,
        'a server adds them up with more digits than it shows',
        'restrict the statement to one shard, or round each quotient',
      )
    if (call.name === 'AVG' && call.args.some(hasVariable))
      throw new ScatterRefused(
        'AVG() of a user variable',
        'a server divides by the digits that a DECIMAL in it has, and shows more',
        'restrict the statement to one shard',
      )
    const words = this.#columns.analysis.wordsOf(call.span)
    if (words !== null && !this.#known.has(words)) this.#known.set(words, ref)
    const columns = this.#columns
    switch (call.name) {
      case 'COUNT':
        this.#pending.push((c) => ({ function: 'count', column: c.index(ref) }))
        return
      case 'SUM':
        this.#pending.push((c) => ({ function: 'sum', column: c.index(ref) }))
        return
      case 'BIT_AND':
      case 'BIT_OR':
      case 'BIT_XOR': {
        const name = call.name.toLowerCase() as 'bit_and'
        this.#pending.push((c) => ({ function: name, column: c.index(ref) }))
        return
      }
      case 'MIN':
      case 'MAX': {
        const name = call.name.toLowerCase() as 'min'
        const by = this.#extremeKey(call, ref)
        if (words !== null && by.ref !== ref && by.compare === 'byType') this.#exact.set(words, by)
        this.#pending.push((c) => ({ function: name, column: c.index(ref), by: c.index(by.ref), compare: by.compare }))
        return
      }
      default: {
        // AVG
        const inner = call.args[0]
        if (inner === undefined) throw new ScatterRefused('AVG()', 'it has no argument')
        const distinct = call.distinct ? 'DISTINCT ' : ''
        const sum = columns.addHidden(`sum ${distinct}${call.span.from}`, [text(`SUM(${distinct}`), ...columns.copyOf(inner), text(')')])
        const counted = columns.addHidden(`count ${distinct}${call.span.from}`, [
          text(`COUNT(${distinct}`),
          ...columns.copyOf(inner),
          text(')'),
        ])
        this.#pending.push((c) => ({ function: 'avg', column: c.index(ref), sum: c.index(sum), count: c.index(counted) }))
      }
    }
  }

  #extremeKey(call: CallExpr, ref: Ref): Key {
    const inner = call.args[0] === undefined ? null : bare(call.args[0])
    const bound = inner?.kind === 'column' ? this.#columns.analysis.resolve(inner) : null
    if (bound === null) return { ref, compare: 'byType' }
    const { column } = bound
    if (familyOf(column) === 'text' || column.dataType === 'enum' || column.dataType === 'set') {
      const pieces = weightOf(column, this.#columns.copyOf(call), call.name)
      return { ref: this.#columns.addHidden(`weight ${call.span.from}`, pieces), compare: 'bytes' }
    }
    const { dataType, name } = column
    // Of the values themselves: an aggregate's own text has lost what they differ by.
    const exact = dataType === 'float' ? ['(', ') + 0e0'] : dataType === 'timestamp' ? ['UNIX_TIMESTAMP(', ')'] : null
    if (exact !== null && inner !== null) {
      const pieces = [text(`${call.name}(${exact[0]}`), ...this.#columns.copyOf(inner), text(`${exact[1]})`)]
      return { ref: this.#columns.addHidden(`${call.name} of ${name} ${call.span.from}`, pieces), compare: 'byType' }
    }
    if (['json', 'geometry', 'uuid', 'inet4', 'inet6', 'bit'].includes(column.dataType))
      throw new ScatterRefused(
        `${call.name}(${column.name})`,
        `columns of type ${column.dataType} have an order that only the server knows`,
      )
    return { ref, compare: familyOf(column) === 'binary' ? 'bytes' : 'byType' }
  }

  /** A distinct value that determines the shard is on one shard only. */
  #distinctIsLocal(call: CallExpr): boolean {
    const { analysis } = this.#columns
    const given = call.args.flatMap((arg) => {
      const inner = bare(arg)
      const bound = inner.kind === 'column' ? analysis.resolve(inner) : null
      return bound === null ? [] : [bound]
    })
    return given.some(({ table }) => {
      const entry = table.entry
      if (entry?.kind !== 'sharded') return false
      return entry.primaryVindex.columns.every((name) =>
        given.some(
          (other) =>
            other.table === table &&
            other.column.name.toLowerCase() === name.toLowerCase() &&
            exactness(other.column, entry.primaryVindex.vindex) === 'always',
        ),
      )
    })
  }
}
