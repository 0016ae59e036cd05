/**
 * Which of its table's keys a statement is about (PROTOCOLS 1.13, `--on-ddl exec`). Pure.
 *
 * On a target that is being copied into most keys wait for the end of the copy (1.12). A statement does there what it did on the source if the keys that it names are there, and whatever others wait: a key is
 * added, dropped or renamed by its name, and columns that it adds are in none that waits. So only what it names has to be built before it. That is more than a saving: in a merge a unique key can not be built while rows of two sources
 * hold one value, and the event that ends it may stand behind the very statement (docs/decisions/027).
 *
 * A key that is added without a name has one made of its first column and of the names that are there (`a`, `a_2`): it is about all such names. What asks for a key without naming one, such as a foreign key, is about all, and about those of tables that it refers to.
 */
import type { QueryEvent } from '../binlog/source.ts'
import { alterClauses, keepsValues, readWords } from './ddl.ts'

/** Names in small letters. `ofColumns`: of keys that are named by these columns. `dropped`: of those that are named. */
export type KeysConcerned =
  | 'any'
  | { readonly named: readonly string[]; readonly ofColumns: readonly string[]; readonly dropped: readonly string[] }

export function keysConcerned(event: QueryEvent): KeysConcerned {
  const read = readWords(event)
  if (read === null || !keepsValues(event)) return 'any'
  const clauses = new Clauses(read.words, read.names)
  try {
    if (read.words[0] === 'ALTER') clauses.alterTable()
    else clauses.indexStatement()
  } catch (error) {
    if (error instanceof AnyKey) return 'any'
    throw error
  }
  return clauses.concerned
}

export function concerns(keys: KeysConcerned, name: string): boolean {
  if (keys === 'any' || !isPlain(name)) return true
  const small = name.toLowerCase()
  return (
    keys.named.includes(small) ||
    keys.ofColumns.some((column) => small === column || (small.startsWith(`${column}_`) && /^\d+$/.test(small.slice(column.length + 1))))
  )
}

export function drops(keys: KeysConcerned, name: string): boolean {
  return keys !== 'any' && isPlain(name) && keys.dropped.includes(name.toLowerCase())
}

/** Servers compare names of keys without case and accents: of others than these it is not known here which are one. */
function isPlain(name: string): boolean {
  return /^[ -~]+$/.test(name)
}

class AnyKey extends Error {}

const ofKeys = new Set(['INDEX', 'KEY', 'UNIQUE', 'FULLTEXT', 'SPATIAL', 'PRIMARY', 'CONSTRAINT', 'FOREIGN', 'REFERENCES', 'SERIAL'])

/** A longer column's name is cut where a key's is made of it. */
const columnCharsMax = 50

class Clauses {
  readonly concerned = { named: [] as string[], ofColumns: [] as string[], dropped: [] as string[] }
  readonly #words: readonly string[]
  readonly #names: readonly string[]
  #at = 0

  constructor(words: readonly string[], names: readonly string[]) {
    this.#words = words
    this.#names = names
  }

  /** CREATE … INDEX name ON …, DROP INDEX name ON … */
  indexStatement(): void {
    const isDropped = this.#words[0] === 'DROP'
    this.#at = this.#words.indexOf('INDEX') + 1
    if (this.#at === 0) throw new AnyKey()
    this.#existence()
    this.#named(isDropped)
  }

  /** One that leaves columns as they are (`keepsValues`). */
  alterTable(): void {
    for (const { from, to } of alterClauses(this.#words)) {
      this.#at = from
      this.#clause(this.#words.slice(from, to))
    }
  }

  #clause(words: readonly string[]): void {
    const [first, second] = words
    if (!words.some((word) => ofKeys.has(word))) return
    this.#at++
    switch (first) {
      case 'ADD':
        this.#added(words)
        return
      case 'DROP':
        if (!this.#take('INDEX', 'KEY', 'CONSTRAINT')) {
          if (second === 'FOREIGN') return
          throw new AnyKey()
        }
        this.#existence()
        this.#named(true)
        return
      case 'RENAME':
        this.#take('INDEX', 'KEY')
        this.#named(false)
        if (!this.#take('TO')) throw new AnyKey()
        this.#named(false)
        return
      case 'ALTER':
        // Whether a CHECK is enforced.
        if (this.#take('CONSTRAINT')) return
        if (!this.#take('INDEX', 'KEY')) throw new AnyKey()
        this.#existence()
        this.#named(false)
        return
      default:
        throw new AnyKey()
    }
  }

  #added(words: readonly string[]): void {
    let constraint = false
    if (this.#take('CONSTRAINT')) {
      this.#existence()
      if (this.#is('CHECK')) return
      if (!this.#is('UNIQUE', 'FOREIGN', 'PRIMARY')) {
        constraint = true
        this.#named(false)
      }
      if (this.#is('CHECK')) return
    }
    if (this.#take('UNIQUE', 'FULLTEXT', 'SPATIAL')) this.#take('INDEX', 'KEY')
    else if (!this.#take('INDEX', 'KEY')) {
      this.#column(words)
      return
    }
    this.#existence()
    if (!this.#is('(', 'USING')) this.#named(false)
    else if (!constraint) {
      while (!this.#take('(')) if (++this.#at >= this.#words.length) throw new AnyKey()
      // MySQL's name for one of which any part is an expression.
      this.concerned.ofColumns.push(this.#hasExpression() ? 'functional_index' : this.#column1())
    }
  }

  /** ADD [COLUMN] a INT UNIQUE [KEY]: a key that is named by it. */
  #column(words: readonly string[]): void {
    const all = words.every((word, i) => !ofKeys.has(word) || word === 'UNIQUE' || (word === 'KEY' && words[i - 1] === 'UNIQUE'))
    if (!all) throw new AnyKey()
    this.#take('COLUMN')
    this.#existence()
    if (this.#is('(')) throw new AnyKey()
    this.concerned.ofColumns.push(this.#column1())
  }

  /** Whether a part of the key within whose parentheses it stands does begin with another. */
  #hasExpression(): boolean {
    let depth = 1
    for (let at = this.#at; at < this.#words.length && depth > 0; at++) {
      const word = this.#words[at]
      if (word === '(' && depth === 1 && (at === this.#at || this.#words[at - 1] === ',')) return true
      if (word === '(') depth++
      else if (word === ')') depth--
    }
    return false
  }

  #column1(): string {
    const name = this.#name()
    if (name.length > columnCharsMax) throw new AnyKey()
    return name
  }

  #named(isDropped: boolean): void {
    const name = this.#name()
    this.concerned.named.push(name)
    if (isDropped) this.concerned.dropped.push(name)
  }

  #name(): string {
    const word = this.#words[this.#at] ?? ''
    const quoted = word === '?'
    const name = (quoted ? (this.#names[this.#at] ?? '') : word).toLowerCase()
    this.#at++
    // Doubled quotes are not undone here.
    if (quoted ? !isPlain(name) || /[`"]/.test(name) : !/^[\w$]+$/.test(name)) throw new AnyKey()
    return name
  }

  /** IF [NOT] EXISTS */
  #existence(): void {
    if (!this.#take('IF')) return
    this.#take('NOT')
    this.#take('EXISTS')
  }

  #is(...words: readonly string[]): boolean {
    return words.includes(this.#words[this.#at] ?? '')
  }

  #take(...words: readonly string[]): boolean {
    if (!this.#is(...words)) return false
    this.#at++
    return true
  }
}

/** Tables of which a statement asks for a key without being a statement on them, in any case; null: it can't be told which. */
export function tablesReferredTo(event: QueryEvent): readonly string[] | null {
  const read = readWords(event)
  if (read === null) return null
  const { words, names } = read
  const found: string[] = []
  for (let at = words.indexOf('REFERENCES') + 1; at > 0; at = words.indexOf('REFERENCES', at) + 1) {
    if (words[at + 1] === '.') at += 2
    const name = words[at] === '?' ? (names[at] ?? '') : (words[at] ?? '')
    // Doubled quotes are not undone here.
    if (/[`"]/.test(name)) return null
    found.push(name)
  }
  return found
}
