// long: one grammar of SELECTs, whose parts call each other
/** SELECT statements whose answer is determined: in full order where LIMIT or position matters, a bag of rows otherwise. */
import { comparison, isExact, isNumber, isPlain, isText, item, number, ofDocument, text, type Ref } from './expressions.ts'
import { isMarked, mark } from './literal.ts'
import type { Dice } from './random.ts'
import { spelt } from './spelling.ts'
import { type ColumnSpec, keyFor, type SchemaSpec, type TableSpec, valueFor } from './schema.ts'
import { weights } from './weights.ts'

export type Asked = {
  /** With marked literals. */
  readonly sql: string
  readonly category: string
  readonly tags: ReadonlySet<string>
  /** Rows come in a full order. */
  readonly ordered: boolean
  /** Result columns of which equal values may be spelt in several ways: only NULL or not is compared. */
  readonly folded: readonly number[]
  /** Result columns that are lists in no order. */
  readonly lists: readonly number[]
  /** How many rows it has, where that may be more than fit here: three tables joined by columns of few values. */
  readonly count: string | null
}

type Made = { sql: string; ordered: boolean; folded?: number[]; lists?: number[]; count?: string | null }

type Source = {
  readonly sql: string
  readonly alias: string
  readonly refs: readonly Ref[]
  readonly unique: readonly string[]
  readonly key: Ref | null
  readonly table: TableSpec | null
}

export class Selects {
  readonly #schema: SchemaSpec
  readonly #dice: Dice
  #tags = new Set<string>()
  #aliases = 0
  #ctes: string[] = []

  constructor(schema: SchemaSpec, dice: Dice) {
    this.#schema = schema
    this.#dice = dice
  }

  next(): Asked {
    this.#tags = new Set()
    this.#aliases = 0
    this.#ctes = []
    const shape = this.#dice.weighted(weights.shape)
    switch (shape) {
      case 'rows':
        return this.#finish(this.#rows())
      case 'aggregate':
        return this.#finish(this.#aggregate())
      case 'grouped':
        return this.#finish(this.#grouped())
      case 'distinct':
        return this.#finish(this.#distinct())
      case 'union':
        return this.#finish(this.#union())
      case 'window':
        return this.#finish(this.#window())
      case 'local':
        return this.#finish({ sql: `SELECT ${item([this.#constant()], this.#dice)}, 1 + 1, ${mark("'x'")} AS y`, ordered: true })
    }
  }

  #constant(): Ref {
    return { sql: '3', kind: 'int', spec: { name: 'n', kind: 'int', sql: 'INT', nullable: false }, key: false }
  }

  #finish(made: Made): Asked {
    const tags = this.#tags
    const order = [
      'window',
      'rollup',
      'union',
      'cte',
      'derived',
      'in-subquery',
      'exists',
      'scalar-subquery',
      'outer-aggregate',
      'beside-aggregate',
      'by-document',
      'cross-join',
      'outer-join',
      'key-join',
      'aggregate-expression',
      'count-distinct',
      'group-concat',
      'deviation',
      'having',
      'group-text',
      'group',
      'aggregate',
      'distinct',
      'order-text',
      'order',
    ]
    const before = this.#ctes.length > 0 ? `WITH ${this.#ctes.join(', ')} ` : ''
    return {
      sql: before + made.sql,
      count: typeof made.count === 'string' ? before + made.count : null,
      category: order.find((name) => tags.has(name)) ?? 'plain',
      tags,
      ordered: made.ordered,
      folded: made.folded ?? [],
      lists: made.lists ?? [],
    }
  }

  // ── FROM ──

  #alias(): string {
    return 'abcdefghijklmnop'[this.#aliases++ % 16] + (this.#aliases > 16 ? String(this.#aliases) : 'x')
  }

  #tableSource(table: TableSpec, mayBeBare = true): Source {
    const alias = this.#alias()
    const bare = mayBeBare && this.#dice.chance(0.25)
    const name = bare ? table.name : alias
    const refs = table.columns.map((spec, i): Ref => ({
      sql: `${name}.${spec.name}`,
      kind: spec.kind,
      spec,
      key: i === 0 && table.sharding !== 'reference',
    }))
    if (table.sharding === 'reference') this.#tags.add('reference')
    return {
      sql: bare ? table.name : `${table.name} ${this.#dice.chance(0.5) ? 'AS ' : ''}${alias}`,
      alias: name,
      refs,
      unique: [`${name}.id`],
      key: refs[0]?.key ? (refs[0] as Ref) : null,
      table,
    }
  }

  #tables(sharding: TableSpec['sharding']): TableSpec {
    return this.#dice.pick(this.#schema.tables.filter((table) => table.sharding === sharding))
  }

  #source(used: Set<string>, depth: number): Source {
    const kind = depth > 0 ? (this.#dice.chance(0.85) ? 'sharded' : 'reference') : this.#dice.weighted(weights.source)
    switch (kind) {
      case 'sharded':
      case 'reference':
      case 'otherVindex': {
        const table = this.#tables(
          kind === 'sharded' ? 'key' : kind === 'reference' ? 'reference' : this.#dice.chance(0.5) ? 'other' : 'text',
        )
        const source = this.#tableSource(table)
        if (!used.has(source.alias)) {
          used.add(source.alias)
          return source
        }
        return this.#source(used, depth)
      }
      case 'derived':
      case 'cte': {
        this.#tags.add(kind)
        const inner = this.#inner(used)
        const alias = this.#alias()
        const refs = inner.columns.map((spec): Ref => ({
          sql: `${alias}.${spec.name}`,
          kind: spec.kind,
          spec,
          key: inner.key === spec.name,
        }))
        const unique = inner.unique.map((name) => `${alias}.${name}`)
        if (kind === 'derived')
          return { sql: `(${inner.sql}) ${alias}`, alias, refs, unique, key: refs.find((ref) => ref.key) ?? null, table: null }
        const name = `w${this.#ctes.length}`
        this.#ctes.push(`${name} AS (${inner.sql})`)
        return { sql: `${name} ${alias}`, alias, refs, unique, key: refs.find((ref) => ref.key) ?? null, table: null }
      }
    }
  }

  /** A SELECT for FROM: its columns have plain names, and some of them tell its rows apart. */
  #inner(used: Set<string>): { sql: string; columns: ColumnSpec[]; unique: string[]; key: string | null } {
    const dice = this.#dice
    const table = this.#tables(dice.chance(0.8) ? 'key' : 'other')
    const source = this.#tableSource(table)
    used.add(source.alias)
    const where = dice.chance(0.5) ? ` WHERE ${comparison(source.refs, dice)}` : ''
    const intSpec = (name: string): ColumnSpec => ({ name, kind: 'int', sql: 'INT', nullable: true })
    const pick = dice.below(4)
    if (pick === 0) {
      const by = dice.chance(0.5) ? 'k' : 'n'
      const amount = dice.pick(source.refs.filter((ref) => isExact(ref) && ref.spec.name !== 'm'))
      return {
        sql: `SELECT ${source.alias}.${by}, COUNT(*) AS cnt, SUM(${amount.sql}) AS total FROM ${source.sql}${where} GROUP BY ${source.alias}.${by}`,
        columns: [intSpec(by), intSpec('cnt'), { name: 'total', kind: 'decimal', sql: 'DECIMAL', nullable: true }],
        unique: [by],
        key: by === 'k' ? 'k' : null,
      }
    }
    if (pick === 1)
      return {
        sql: `SELECT DISTINCT ${source.alias}.k, ${source.alias}.n FROM ${source.sql}${where}`,
        columns: [intSpec('k'), intSpec('n')],
        unique: ['k', 'n'],
        key: 'k',
      }
    const columns = [table.columns[0] as ColumnSpec, table.columns[1] as ColumnSpec, ...dice.some(table.columns.slice(2), 3)]
    const limit = pick === 2 ? ` ORDER BY ${source.alias}.id LIMIT ${mark(String(1 + dice.below(30)))}` : ''
    return {
      sql: `SELECT ${columns.map((c) => `${source.alias}.${c.name}`).join(', ')} FROM ${source.sql}${where}${limit}`,
      columns,
      unique: ['id'],
      key: 'k',
    }
  }

  #from(most = 3): { sql: string; sources: Source[] } {
    const dice = this.#dice
    const count = Math.min(most, { one: 1, two: 2, three: 3 }[dice.weighted(weights.joins)])
    const used = new Set<string>()
    const first = this.#source(used, 0)
    const sources = [first]
    let sql = first.sql
    const commas: string[] = []
    for (let i = 1; i < count; i++) {
      this.#tags.add('join')
      const kind = dice.weighted(weights.joinKind)
      const next = this.#source(used, 0)
      const left = dice.pick(sources)
      const keyed = left.key !== null && next.key !== null && left.table?.sharding === next.table?.sharding
      if (kind === 'using' && count === 2 && keyed && left.table?.sharding === 'key') {
        this.#tags.add('key-join')
        if (dice.chance(weights.natural)) {
          const itself = this.#tableSource(left.table, false)
          sql += ` NATURAL ${dice.pick(['', '', 'LEFT '])}JOIN ${itself.sql}`
          sources.push(itself)
          continue
        }
        sql += ` JOIN ${next.sql} USING (k)`
        sources.push(next)
        continue
      }
      const { condition, cross } = this.#on(left, next)
      this.#tags.add(cross && left.table?.sharding !== 'reference' && next.table?.sharding !== 'reference' ? 'cross-join' : 'key-join')
      if (kind === 'left' || kind === 'right') this.#tags.add('outer-join')
      const extra = dice.chance(0.2) ? ` AND ${comparison(next.refs, dice)}` : ''
      if (kind === 'comma' && commas.length === i - 1 && !sql.includes(' JOIN ')) {
        sql += `, ${next.sql}`
        commas.push(condition)
      } else
        sql += ` ${{ inner: 'JOIN', left: 'LEFT JOIN', right: 'RIGHT JOIN', comma: 'JOIN', using: 'INNER JOIN' }[kind]} ${next.sql} ON ${condition}${extra}`
      sources.push(next)
    }
    return {
      sql: `FROM ${sql}`,
      sources: commas.length > 0 ? sources.map((source, i) => (i === 0 ? { ...source, pending: commas } : source)) : sources,
    }
  }

  #on(left: Source, right: Source): { condition: string; cross: boolean } {
    const dice = this.#dice
    const name = (source: Source, column: string): Ref | undefined => source.refs.find((ref) => ref.spec.name === column)
    const how = dice.weighted(weights.joinOn)
    const [ka, kb, na, nb] = [name(left, 'k'), name(right, 'k'), name(left, 'n'), name(right, 'n')]
    const [ia, ib] = [name(left, 'id'), name(right, 'id')]
    const [sa, sb] = [name(left, 's'), name(right, 's')]
    if (how === 'sameKey' && ka && kb) {
      const cross = left.table?.sharding !== right.table?.sharding
      return { condition: `${ka.sql} = ${kb.sql}`, cross }
    }
    if (how === 'textToText' && sa && sb && ia && ib)
      return { condition: `${sa.sql} = ${sb.sql} AND ${ia.sql} < ${mark('25')}`, cross: true }
    if (how === 'unequal' && ia && ib) return { condition: `${ia.sql} < ${ib.sql} AND ${ib.sql} < ${mark('12')}`, cross: true }
    if (how === 'keyToOther' && kb) {
      const other = ia ?? na ?? ka
      if (other) return { condition: `${dice.chance(0.5) ? `${other.sql} = ${kb.sql}` : `${kb.sql} = ${other.sql}`}`, cross: other !== ka }
    }
    const [a, b] = [ia ?? na ?? (left.refs[0] as Ref), ib ?? kb ?? nb ?? (right.refs[0] as Ref)]
    if (na && nb && dice.chance(0.4)) return { condition: `${na.sql} = ${nb.sql}`, cross: true }
    return { condition: `${a.sql} = ${b.sql}`, cross: true }
  }

  // ── WHERE ──

  #where(sources: readonly Source[], refs: readonly Ref[]): string {
    const dice = this.#dice
    const w = weights.where
    const parts: string[] = []
    for (const source of sources) parts.push(...((source as { pending?: string[] }).pending ?? []))
    const keyed = sources.filter((source) => source.key !== null && source.table !== null)
    const literal = (source: Source): string => mark(keyFor(source.table as TableSpec, dice))
    if (keyed.length > 0 && dice.chance(w.keyEquals)) {
      const source = dice.pick(keyed)
      parts.push(`${(source.key as Ref).sql} = ${literal(source)}`)
      this.#tags.add('by-key')
    }
    if (keyed.length > 0 && dice.chance(w.keyIn)) {
      const source = dice.pick(keyed)
      parts.push(`${(source.key as Ref).sql} IN (${literal(source)}, ${literal(source)}, ${literal(source)})`)
    }
    if (dice.chance(w.comparison)) parts.push(comparison(refs, dice))
    if (dice.chance(w.orTree))
      parts.push(`(${comparison(refs, dice)} OR ${comparison(refs, dice)} OR (${comparison(refs, dice)} AND ${comparison(refs, dice)}))`)
    if (dice.chance(w.inSubquery)) parts.push(this.#inSubquery(sources, refs))
    if (dice.chance(w.existsSubquery)) parts.push(this.#exists(sources, refs))
    if (dice.chance(w.scalarSubquery))
      parts.push(`${number(refs, dice, 1)} ${dice.pick(['<', '>', '<=', '='])} ${this.#scalar(sources, refs)}`)
    return parts.length === 0 ? '' : ` WHERE ${dice.shuffle(parts).join(' AND ')}`
  }

  #innerSource(): Source {
    return this.#source(new Set(), 1)
  }

  #correlation(source: Source, sources: readonly Source[], refs: readonly Ref[]): string[] {
    const dice = this.#dice
    const how = dice.weighted(weights.subquery)
    const outer = sources.length === 0 ? null : dice.pick(sources)
    if (outer === null) return []
    if (how === 'correlatedByKey' && source.key !== null && outer.key !== null && source.key.kind === outer.key.kind)
      return [`${source.key.sql} = ${outer.key.sql}`]
    if (how === 'correlatedByOther') {
      const inner = source.refs.find((ref) => ref.spec.name === 'n') as Ref
      const ints = refs.filter((ref) => ref.kind === 'int')
      if (ints.length > 0) return [`${inner.sql} = ${dice.pick(ints).sql}`]
    }
    return []
  }

  #inSubquery(sources: readonly Source[], refs: readonly Ref[]): string {
    const dice = this.#dice
    this.#tags.add('in-subquery')
    const source = this.#innerSource()
    const outer = dice.pick(refs.filter((ref) => ref.kind === 'int'))
    const inner =
      outer.key && source.key !== null && dice.chance(0.6) ? source.key : dice.pick(source.refs.filter((ref) => ref.kind === 'int'))
    if (inner.kind !== 'int') return `${outer.sql} IN (SELECT ${source.alias}.n FROM ${source.sql})`
    const where = [
      ...(dice.chance(0.25) ? this.#correlation(source, sources, refs) : []),
      ...(dice.chance(0.7) ? [comparison(source.refs, dice)] : []),
    ]
    // MariaDB finds no number above an index's, and says TRUE for NULL where the rows have one: with IGNORE INDEX it says NULL.
    const not = dice.chance(0.25) && (outer.spec.name !== 'm' || inner.spec.name === 'm')
    return `${outer.sql} ${not ? 'NOT ' : ''}IN (SELECT ${inner.sql} FROM ${source.sql}${where.length > 0 ? ` WHERE ${where.join(' AND ')}` : ''})`
  }

  #exists(sources: readonly Source[], refs: readonly Ref[]): string {
    const dice = this.#dice
    this.#tags.add('exists')
    const source = this.#innerSource()
    const where = [...this.#correlation(source, sources, refs), ...(dice.chance(0.6) ? [comparison(source.refs, dice)] : [])]
    return `${dice.chance(0.3) ? 'NOT ' : ''}EXISTS (SELECT ${dice.chance(0.5) ? '1' : '*'} FROM ${source.sql}${where.length > 0 ? ` WHERE ${where.join(' AND ')}` : ''})`
  }

  #scalar(sources: readonly Source[], refs: readonly Ref[]): string {
    const dice = this.#dice
    this.#tags.add('scalar-subquery')
    const source = this.#innerSource()
    const where = this.#correlation(source, sources, refs)
    if (dice.chance(0.5)) where.push(comparison(source.refs, dice))
    const amount = dice.pick(source.refs.filter((ref) => isExact(ref) && ref.spec.name !== 'm'))
    return `(SELECT ${dice.pick(['COUNT(*)', `MAX(${amount.sql})`, `MIN(${amount.sql})`, `SUM(${amount.sql})`, `AVG(${amount.sql})`])} FROM ${source.sql}${where.length > 0 ? ` WHERE ${where.join(' AND ')}` : ''})`
  }

  /** One value, whatever the rows are; for SET. */
  value(): string {
    this.#tags = new Set()
    this.#aliases = 0
    this.#ctes = []
    return this.#dice.chance(0.3) ? `${this.#scalar([], [])} + ${mark(String(this.#dice.below(5)))}` : this.#scalar([], [])
  }

  // ── shapes ──

  #refs(sources: readonly Source[]): Ref[] {
    // A column joined by USING is named once: without its table it is not ambiguous, with it either side is right.
    return sources.flatMap((source) => source.refs.filter(isPlain))
  }

  /** @param names of what the list has, to order by as well */
  #orderBy(
    refs: readonly Ref[],
    unique: readonly string[],
    names: readonly string[] = [],
    documents: readonly Ref[] = [],
  ): { sql: string; ordered: boolean } {
    const dice = this.#dice
    if (!dice.chance(weights.orderBy)) return { sql: '', ordered: false }
    this.#tags.add('order')
    const keys: string[] = []
    const direction = (): string => (dice.chance(0.4) ? ' DESC' : '')
    if (dice.chance(weights.orderByText)) {
      const texts = refs.filter((ref) => isText(ref) && ref.spec.name !== 'x')
      if (texts.length > 0) {
        const ref = dice.pick(texts)
        keys.push(ref.sql + direction())
        this.#tags.add('order-text').add('collation')
      }
    }
    if (dice.chance(weights.orderByExpression))
      keys.push((dice.chance(0.3) ? `LOWER(${text(refs, dice)})` : (this.#real(refs) ?? number(refs, dice))) + direction())
    else if (keys.length === 0 && dice.chance(0.6)) keys.push(dice.pick(refs.filter((ref) => !isText(ref))).sql + direction())
    keys.push(...dice.some(names, dice.below(2)).map((name) => name + direction()))
    if (documents.length > 0 && dice.chance(weights.byDocument)) keys.push(this.#document(documents) + direction())
    const total = dice.chance(0.8)
    if (total) keys.push(...unique.map((key) => key + direction()))
    if (keys.length === 0) return { sql: '', ordered: false }
    let sql = ` ORDER BY ${keys.join(', ')}`
    if (total && dice.chance(weights.limit)) {
      const count = mark(String(dice.chance(0.1) ? 0 : 1 + dice.below(20)))
      sql += dice.chance(weights.offset)
        ? dice.chance(0.5)
          ? ` LIMIT ${count} OFFSET ${mark(String(dice.below(15)))}`
          : ` LIMIT ${mark(String(dice.below(15)))}, ${count}`
        : ` LIMIT ${count}`
    }
    return { sql, ordered: total }
  }

  /** A document, or what one says. */
  #document(documents: readonly Ref[]): string {
    const { sql } = this.#dice.pick(documents)
    this.#tags.add('by-document')
    return this.#dice.pick([sql, `COALESCE(${sql}, ${sql})`, `IF(1, ${sql}, ${sql})`, `JSON_EXTRACT(${sql}, '$.a')`])
  }

  /** Of type FLOAT, whose text has six digits. */
  #real(refs: readonly Ref[]): string | null {
    const dice = this.#dice
    const floats = refs.filter((ref) => ref.kind === 'float')
    return floats.length === 0 || dice.chance(0.5) ? null : `IFNULL(${dice.pick(floats).sql}, ${dice.pick(floats).sql})`
  }

  #rows(): Made {
    const dice = this.#dice
    const { sql: from, sources } = this.#from()
    const refs = this.#refs(sources)
    const items: string[] = []
    const names: string[] = []
    if (dice.chance(0.12)) items.push('*')
    else if (dice.chance(0.1)) items.push(`${dice.pick(sources).alias}.*`)
    else
      for (let i = 0, n = 1 + dice.below(5); i < n; i++) {
        // A literal alone is ordered by where it is no parameter only.
        const of = item(refs, dice)
        const one = spelt(of, `i${i}`, i + 1, dice)
        items.push(one.item)
        if (!isMarked(of)) names.push(one.name())
      }
    const documents = sources.flatMap((source) => source.refs.filter((ref) => !isPlain(ref)))
    if (documents.length > 0 && items[0]?.endsWith('*') !== true && dice.chance(weights.document))
      items.push(ofDocument(dice.pick(documents), dice))
    if (dice.chance(weights.scalarInList)) items.push(this.#scalar(sources, refs))
    const where = this.#where(sources, refs)
    const order = this.#orderBy(
      refs,
      sources.flatMap((source) => source.unique),
      names,
      documents,
    )
    const hint = order.ordered && !order.sql.includes(' LIMIT ') && dice.chance(weights.hint) ? '/*+ SET_VAR(sql_select_limit = 3) */ ' : ''
    if (order.ordered && !order.sql.includes(' LIMIT ') && dice.chance(weights.badLimit)) order.sql += ' LIMIT abc'
    const count = sources.length > 2 ? `SELECT COUNT(*) ${from}${where}` : null
    return { sql: `SELECT ${hint}${items.join(', ')} ${from}${where}${order.sql}`, ordered: order.ordered, count }
  }

  #aggregateCall(refs: readonly Ref[]): { sql: string; list: boolean; fold: boolean } {
    const dice = this.#dice
    const numbers = refs.filter((ref) => isNumber(ref) && ref.spec.name !== 'm')
    const any = dice.pick(refs)
    const exact = dice.pick(numbers.length > 0 ? numbers : refs)
    const plain = (sql: string): { sql: string; list: boolean; fold: boolean } => ({ sql, list: false, fold: false })
    const reals = refs.filter((ref) => ref.kind === 'double' || ref.kind === 'float')
    if (reals.length > 0 && dice.chance(weights.rounded)) {
      this.#tags.add('rounded')
      return plain(`${dice.pick(['SUM', 'AVG', 'MIN', 'MAX'])}(ROUND(${dice.pick(reals).sql}, ${dice.pick(['0', '1', '2', '3'])}))`)
    }
    const kind = dice.weighted(weights.aggregates)
    switch (kind) {
      case 'count':
        return plain(dice.chance(0.5) ? 'COUNT(*)' : `COUNT(${any.sql})`)
      case 'sum': {
        const of = dice.chance(0.3) ? number(refs, dice, 1) : exact.sql
        // Of a parameter alone MySQL says NULL beside SUM(DISTINCT …), or its sum, by the plan: on one server too.
        return plain(`SUM(${isMarked(of) ? exact.sql : of})`)
      }
      case 'min':
      case 'max': {
        const of = dice.pick(refs)
        if (isText(of)) this.#tags.add('collation')
        return { sql: `${kind.toUpperCase()}(${of.sql})`, list: false, fold: isText(of) }
      }
      case 'avg':
        return plain(`AVG(${exact.sql})`)
      case 'countDistinct':
        this.#tags.add('count-distinct')
        return plain(dice.chance(0.2) ? `COUNT(DISTINCT ${any.sql}, ${dice.pick(refs).sql})` : `COUNT(DISTINCT ${any.sql})`)
      case 'sumDistinct':
        this.#tags.add('count-distinct')
        return plain(`${dice.chance(0.5) ? 'SUM' : 'AVG'}(DISTINCT ${exact.sql})`)
      case 'groupConcat': {
        this.#tags.add('group-concat')
        const of = dice.pick(refs.filter((ref) => ref.kind === 'int' || ref.kind === 'date'))
        if (dice.chance(0.5)) return { sql: `GROUP_CONCAT(${of.sql})`, list: true, fold: false }
        return plain(
          `GROUP_CONCAT(${dice.chance(0.5) ? 'DISTINCT ' : ''}${of.sql} ORDER BY ${of.sql}${dice.chance(0.5) ? ' DESC' : ''}${dice.chance(0.4) ? " SEPARATOR '|'" : ''})`,
        )
      }
      case 'deviation':
        this.#tags.add('deviation')
        return plain(`${dice.pick(['STDDEV', 'STD', 'VARIANCE', 'STDDEV_SAMP', 'VAR_SAMP', 'VAR_POP'])}(${exact.sql})`)
      case 'bits': {
        const ints = refs.filter((ref) => ref.kind === 'int')
        return plain(`${dice.pick(['BIT_AND', 'BIT_OR', 'BIT_XOR'])}(${dice.pick(ints.length > 0 ? ints : refs).sql})`)
      }
    }
  }

  #aggregates(refs: readonly Ref[], count: number): { items: string[]; lists: boolean[]; folds: boolean[] } {
    const dice = this.#dice
    this.#tags.add('aggregate')
    const made = Array.from({ length: count }, (_, i) => {
      const call = this.#aggregateCall(refs)
      if (dice.chance(weights.aggregateExpression)) {
        this.#tags.add('aggregate-expression')
        const numbers = refs.filter((ref) => isExact(ref) && ref.spec.name !== 'm')
        const of = dice.pick(numbers).sql
        const sql = dice.pick([
          `SUM(${of}) / COUNT(*)`,
          `COALESCE(SUM(${of}), 0)`,
          `COUNT(*) + ${mark('1')}`,
          `MAX(${of}) - MIN(${of})`,
          `AVG(${of}) * 2`,
          `ROUND(AVG(${of}), 1)`,
          `IF(COUNT(*) > ${mark('2')}, SUM(${of}), NULL)`,
        ])
        return { sql: sql + (dice.chance(0.3) ? ` AS g${i}` : ''), list: false, fold: false }
      }
      return { ...call, sql: call.sql + (dice.chance(0.3) ? ` AS g${i}` : '') }
    })
    return { items: made.map((m) => m.sql), lists: made.map((m) => m.list), folds: made.map((m) => m.fold) }
  }

  #aggregate(): { sql: string; ordered: boolean; folded: number[]; lists: number[] } {
    const { sql: from, sources } = this.#from()
    const refs = this.#refs(sources)
    const dice = this.#dice
    const { items, lists, folds } = this.#aggregates(refs, 1 + dice.below(4))
    const ints = refs.filter((ref) => ref.kind === 'int')
    let bound = ''
    if (dice.chance(weights.besideAggregate.column)) {
      this.#tags.add('beside-aggregate')
      const { sql, spec } = dice.pick(ints)
      items.push(sql)
      bound = `${sql} = ${mark(valueFor({ ...spec, nullable: false }, dice))}`
    }
    if (dice.chance(weights.besideAggregate.outer)) {
      this.#tags.add('outer-aggregate')
      const call = `${dice.pick(['COUNT', 'MAX', 'SUM', 'COUNT(DISTINCT '])}(${dice.pick(ints).sql})`.replace('DISTINCT (', 'DISTINCT ')
      const { name } = this.#tables('reference')
      const other = this.#alias()
      // Over no rows MariaDB says of a COUNT there 0 or NULL, by its plan.
      items.push(
        dice.chance(0.5) && !call.startsWith('COUNT')
          ? `(SELECT ${call})`
          : `(SELECT MAX(${other}.id) FROM ${name} ${other} WHERE ${other}.id < ${call})`,
      )
    }
    return {
      sql: `SELECT ${items.join(', ')} ${from}${bounded(this.#where(sources, refs), bound)}`,
      ordered: true,
      folded: placesOf(folds, 0),
      lists: placesOf(lists, 0),
    }
  }

  #grouped(): { sql: string; ordered: boolean; folded: number[]; lists: number[] } {
    const dice = this.#dice
    this.#tags.add('group')
    const { sql: from, sources } = this.#from()
    const refs = this.#refs(sources)
    const documents = sources.flatMap((source) => source.refs.filter((ref) => !isPlain(ref)))
    const keys: { sql: string; fold: boolean }[] = []
    for (let i = 0, n = 1 + dice.below(2); i < n; i++) {
      const texts = refs.filter((ref) => isText(ref) && ref.spec.name !== 'x')
      if (texts.length > 0 && dice.chance(weights.groupByText)) {
        const ref = dice.pick(texts)
        this.#tags.add('group-text').add('collation')
        keys.push({ sql: ref.sql, fold: true })
      } else if (documents.length > 0 && dice.chance(weights.byDocument)) keys.push({ sql: this.#document(documents), fold: false })
      else if (dice.chance(weights.groupByExpression)) keys.push({ sql: number(refs, dice, 1), fold: false })
      else keys.push({ sql: dice.pick(refs.filter((ref) => !isText(ref) && ref.kind !== 'float')).sql, fold: false })
    }
    const shown = keys.filter(() => dice.chance(0.8))
    const spellings = new Map(shown.map((key, i) => [key, spelt(key.sql, `k${i}`, i + 1, dice)]))
    const nameOf = (key: (typeof keys)[number]): string => (isMarked(key.sql) ? key.sql : (spellings.get(key)?.name() ?? key.sql))
    const { items, lists, folds } = this.#aggregates(refs, 1 + dice.below(3))
    const smallest = sources.flatMap((source) => source.unique.slice(0, 1)).map((key) => `MIN(${key})`)
    if (shown.some((key) => key.fold)) {
      items.push(...smallest)
      lists.push(...smallest.map(() => false))
      folds.push(...smallest.map(() => false))
    }
    // An aggregate that is called as a column is: HAVING means the one that is grouped by, ORDER BY the other.
    const grouped = refs.filter((ref) => isNumber(ref) && keys.some((key) => key.sql === ref.sql))
    const hiding = dice.chance(weights.spelling.place)
      ? dice.pick(grouped.length > 0 && dice.chance(0.7) ? grouped : refs.filter(isNumber)).spec.name
      : null
    if (documents.length > 0 && dice.chance(weights.byDocument * 2)) {
      items.push(`${dice.pick(['MIN', 'MAX'])}(${this.#document(documents)})`)
      lists.push(false)
      folds.push(false)
    }
    if (hiding !== null) {
      this.#tags.add('hiding')
      items.push(`COUNT(*) AS ${hiding}`)
      lists.push(false)
      folds.push(false)
    }
    let sql = `SELECT ${[...shown.map((key) => spellings.get(key)?.item ?? key.sql), ...items].join(', ')} ${from}${this.#where(sources, refs)} GROUP BY ${keys.map(nameOf).join(', ')}`
    const rollup = dice.chance(weights.rollup)
    if (rollup) {
      this.#tags.add('rollup')
      sql += ' WITH ROLLUP'
    }
    if (dice.chance(weights.havingUnlisted)) sql += ` HAVING ${dice.pick(refs.filter(isNumber)).sql} > ${mark('3')}`
    else if (dice.chance(weights.having)) {
      this.#tags.add('having')
      const amount = refs.filter((ref) => isExact(ref) && ref.spec.name !== 'm')
      sql += ` HAVING ${dice.pick([
        `COUNT(*) > ${mark(String(dice.below(5)))}`,
        `SUM(${dice.pick(amount).sql}) > ${mark(String(dice.below(20)))}`,
        `MIN(${dice.pick(amount).sql}) IS NOT NULL`,
        `COUNT(*) > 1 AND MAX(${dice.pick(amount).sql}) < ${mark('40')}`,
        this.#averages(dice.pick(amount).sql),
        ...(hiding === null ? [] : [`${hiding} > ${mark(String(dice.below(6)))}`]),
        ...shown
          .filter((key) => refs.some((ref) => isExact(ref) && ref.sql === key.sql))
          .map(
            (key) =>
              `${spellings
                .get(key)
                ?.name()
                .replace(/^[(+]?\d+\)?$/, key.sql)} > ${mark('2')}`,
          ),
      ])}`
    }
    let ordered = false
    if (!rollup && dice.chance(weights.orderBy)) {
      this.#tags.add('order')
      const total = dice.chance(0.8)
      const list = [
        ...(dice.chance(0.4) ? [`COUNT(*)${dice.chance(0.5) ? ' DESC' : ''}`] : []),
        ...(hiding !== null && dice.chance(0.5) ? [hiding] : []),
        ...(total ? keys.map((key) => nameOf(key) + (dice.chance(0.4) ? ' DESC' : '')) : []),
      ]
      if (list.length > 0) {
        ordered = total
        sql += ` ORDER BY ${list.join(', ')}`
        if (total && dice.chance(weights.limit)) sql += ` LIMIT ${mark(String(1 + dice.below(6)))}`
      }
    }
    return {
      sql,
      ordered,
      folded: [
        ...placesOf(
          shown.map((key) => key.fold),
          0,
        ),
        ...placesOf(folds, shown.length),
      ],
      lists: placesOf(lists, shown.length),
    }
  }

  /** With literals that lie between an average and what is shown of it. */
  #averages(of: string): string {
    const dice = this.#dice
    const shown = `${dice.below(9)}.${dice.pick(['3333', '6667', '3333333', '6666667', '1429', '5'])}`
    return `AVG(${of}) ${dice.pick(['>', '<', '>=', '<=', '=', '<>'])} ${mark(shown)}`
  }

  #distinct(): { sql: string; ordered: boolean; folded: number[] } {
    const dice = this.#dice
    this.#tags.add('distinct')
    const { sql: from, sources } = this.#from()
    const refs = this.#refs(sources)
    // One text at most, else which spellings come together is a matter of luck.
    const items = dice.some(
      // MariaDB prints BIT as a number or as bytes, by the plan.
      refs.filter((ref) => !isText(ref) && ref.kind !== 'bit'),
      1 + dice.below(3),
    )
    const texts = refs.filter((ref) => isText(ref) && ref.spec.name !== 'x')
    if (texts.length > 0 && dice.chance(0.4)) {
      items.push(dice.pick(texts))
      this.#tags.add('collation')
    }
    const ordered = dice.chance(0.6)
    if (ordered) this.#tags.add('order')
    const order = ordered
      ? ` ORDER BY ${items.map((ref) => ref.sql + (dice.chance(0.3) ? ' DESC' : '')).join(', ')}${dice.chance(weights.limit) ? ` LIMIT ${mark(String(1 + dice.below(15)))}` : ''}`
      : ''
    return {
      sql: `SELECT DISTINCT ${items.map((ref) => ref.sql).join(', ')} ${from}${this.#where(sources, refs)}${dice.chance(weights.havingUnlisted) ? ` HAVING ${dice.pick(refs.filter(isNumber)).sql} > ${mark('3')}` : ''}${order}`,
      ordered,
      folded: placesOf(
        items.map((ref) => isText(ref)),
        0,
      ),
    }
  }

  #union(): { sql: string; ordered: boolean } {
    const dice = this.#dice
    this.#tags.add('union')
    const parts = Array.from({ length: dice.chance(0.8) ? 2 : 3 }, () => {
      const source = this.#tableSource(this.#tables(dice.weighted({ key: 70, other: 20, reference: 10 })))
      const n = source.refs.find((ref) => ref.spec.name === 'n') as Ref
      const id = source.refs.find((ref) => ref.spec.name === 'id') as Ref
      const where = [
        ...(dice.chance(0.2) && source.key ? [`${source.key.sql} = ${mark(keyFor(source.table as TableSpec, dice))}`] : []),
        ...(dice.chance(0.7) ? [comparison(source.refs, dice)] : []),
      ]
      return `SELECT ${dice.chance(0.3) ? `COUNT(*), MAX(${n.sql})` : `${id.sql}, ${n.sql}`} FROM ${source.sql}${where.length > 0 ? ` WHERE ${where.join(' AND ')}` : ''}`
    })
    let sql = parts.join(dice.chance(0.5) ? ' UNION ' : ' UNION ALL ')
    let ordered = false
    if (dice.chance(0.5)) {
      sql += ' ORDER BY 1, 2'
      ordered = true
      if (dice.chance(0.5)) sql += ` LIMIT ${mark(String(1 + dice.below(12)))}`
    }
    return { sql, ordered }
  }

  #window(): { sql: string; ordered: boolean } {
    const dice = this.#dice
    this.#tags.add('window')
    // Every window is kept and sorted: of two tables, and few rows of each.
    const { sql: from, sources } = this.#from(2)
    const few = sources.length === 1 ? [] : sources.flatMap(({ refs: of }) => of.filter((ref) => ref.spec.name === 'id'))
    const bound = few.map((ref) => `(${ref.sql} < ${mark('60')} OR ${ref.sql} IS NULL)`).join(' AND ')
    const refs = this.#refs(sources)
    const unique = sources.flatMap((source) => source.unique)
    const key = sources[0]?.key
    const partition = dice.chance(0.7)
      ? `PARTITION BY ${key && dice.chance(0.6) ? key.sql : dice.pick(refs.filter((ref) => !isText(ref) && ref.kind !== 'float')).sql} `
      : ''
    const amounts = refs.filter((ref) => isExact(ref) && ref.spec.name !== 'm')
    const amount = dice.pick(amounts).sql
    const order = `ORDER BY ${unique.join(', ')}`
    const call = dice.pick([
      `ROW_NUMBER() OVER (${partition}${order})`,
      `RANK() OVER (${partition}ORDER BY ${amount})`,
      `SUM(${amount}) OVER (${partition}${order})`,
      `COUNT(*) OVER (${partition})`,
      `LAG(${amount}) OVER (${partition}${order})`,
      `MAX(${amount}) OVER (${partition})`,
    ])
    return {
      sql: `SELECT ${[...unique, call].join(', ')} ${from}${bounded(this.#where(sources, refs), bound)}${dice.chance(0.5) ? ` ORDER BY ${unique.join(', ')}${dice.chance(0.3) ? ` LIMIT ${mark(String(1 + dice.below(10)))}` : ''}` : ''}`,
      ordered: false,
    }
  }
}

function bounded(where: string, bound: string): string {
  return bound === '' ? where : where === '' ? ` WHERE ${bound}` : `${where} AND ${bound}`
}

function placesOf(flags: readonly boolean[], from: number): number[] {
  return flags.flatMap((flag, i) => (flag ? [from + i] : []))
}

export { valueFor }
