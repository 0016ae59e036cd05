/**
 * The text of a table, as SHOW CREATE TABLE prints it, cut into its elements: columns, keys, constraints, options. Each element keeps
 * its own text, so what is put together again differs from the server's only in what was meant to change.
 *
 *     const definition = parseTableDefinition(text)
 *     printTableDefinition(withoutAutoIncrement(definition))
 *
 * Reads the output of MariaDB 10.11 and MySQL 9.7: quoted names, comments, generated columns, expression defaults, CHECK, executable
 * comments (INVISIBLE, GENERATED INVISIBLE PRIMARY KEY, partitions), FULLTEXT and SPATIAL keys, SYSTEM VERSIONING.
 * What is no CREATE TABLE is refused (SW-SQL-008), never guessed.
 */
import type { Span } from './ast.ts'
import { near, sqlErrors } from './errors.ts'
import { Kind, Lexer, type Lexed, tokenEnd, tokenStart } from './lexer.ts'
import { Reader } from './reader.ts'
import { parseQuery } from './select.ts'

export type ColumnElement = {
  readonly kind: 'column'
  readonly name: string
  /** The type's first word in lower case: `int`, `varchar`, `enum` … */
  readonly dataType: string
  readonly autoIncrement: boolean
  readonly notNull: boolean
  readonly generated: 'virtual' | 'stored' | null
  readonly invisible: boolean
  readonly text: string
}

export type KeyElement = {
  readonly kind: 'key'
  readonly type: 'primary' | 'unique' | 'index' | 'fulltext' | 'spatial'
  readonly name: string
  /** Null for a part that is an expression; prefix lengths in `prefixes`. */
  readonly columns: readonly (string | null)[]
  readonly prefixes: readonly (number | null)[]
  readonly text: string
}

export type ForeignKeyElement = {
  readonly kind: 'foreign-key'
  readonly name: string
  readonly columns: readonly string[]
  readonly references: { readonly schema: string | null; readonly table: string; readonly columns: readonly string[] }
  readonly onDelete: string
  readonly onUpdate: string
  readonly text: string
}

/** CHECK constraints, PERIOD FOR, LIKE: kept as they are. */
export type OtherElement = { readonly kind: 'other'; readonly text: string }
export type TableElement = ColumnElement | KeyElement | ForeignKeyElement | OtherElement

export type TableDefinition = {
  readonly name: string
  readonly temporary: boolean
  readonly elements: readonly TableElement[]
  /** From `)` on: ENGINE, AUTO_INCREMENT, charset, comment, partitions. */
  readonly options: string
  readonly autoIncrementNext: bigint | null
}

export function parseTableDefinition(text: string): TableDefinition {
  const lexed = new Lexer().lex(Buffer.from(text))
  const r = new Reader(lexed, parseQuery)
  const fail = (): never => {
    throw sqlErrors.notCreateTable({ near: near(lexed.bytes, tokenStart(lexed, Math.min(r.at, lexed.count))) })
  }
  if (!r.takeWords('CREATE')) fail()
  r.takeWords('OR', 'REPLACE')
  const temporary = r.takeWords('TEMPORARY')
  if (!r.takeWords('TABLE')) fail()
  r.takeWords('IF', 'NOT', 'EXISTS')
  const name = r.tableName().name.text
  if (!r.takeOperator('(')) fail()
  const elements: TableElement[] = []
  for (;;) {
    const from = r.at
    let depth = 0
    while (!r.atEnd() && !(depth === 0 && (r.isOperator(',') || r.isOperator(')')))) {
      if (r.isOperator('(')) depth++
      else if (r.isOperator(')')) depth--
      r.at++
    }
    if (r.atEnd() || r.at === from) fail()
    elements.push(readElement(lexed, { from, to: r.at }))
    if (r.takeOperator(')')) break
    r.at++
  }
  const optionsFrom = tokenEnd(lexed, r.at - 1)
  let autoIncrementNext: bigint | null = null
  for (; !r.atEnd(); r.at++) {
    if (!r.isWord('AUTO_INCREMENT')) continue
    const value = r.isOperator('=', 1) ? 2 : 1
    if (r.kind(value) === Kind.Integer) autoIncrementNext = BigInt(r.text(value))
  }
  return { name, temporary, elements, options: lexed.bytes.toString('utf8', optionsFrom, lexed.end), autoIncrementNext }
}

function readElement(lexed: Lexed, span: Span): TableElement {
  const r = new Reader({ ...lexed, count: span.to }, parseQuery)
  r.at = span.from
  const text = elementText(lexed, span)
  let name = ''
  if (r.takeWords('CONSTRAINT') && r.isName() && !(r.kind() === Kind.Word && ['PRIMARY', 'UNIQUE', 'FOREIGN', 'CHECK'].includes(r.word())))
    name = r.name().text
  if (r.takeWords('FOREIGN', 'KEY')) return readForeignKey(r, name, text)
  // A column may be called `key`; quoted names are never words.
  const type = keyType(r)
  if (type !== null) return readKey(r, type, name, text)
  if (name !== '' || (r.kind() === Kind.Word && ['CHECK', 'PERIOD', 'LIKE'].includes(r.word()) && !r.isName(1)))
    return { kind: 'other', text }
  return readColumn(r, text)
}

function keyType(r: Reader): KeyElement['type'] | null {
  if (r.takeWords('PRIMARY', 'KEY')) return 'primary'
  const start = r.at
  const word = r.takeOneOf('UNIQUE', 'FULLTEXT', 'SPATIAL', 'KEY', 'INDEX')
  if (word === null) return null
  if (word !== 'KEY' && word !== 'INDEX') r.takeOneOf('KEY', 'INDEX')
  if (r.isOperator('(') || (r.isName() && (r.isOperator('(', 1) || r.isWord('USING', 1)))) {
    return word === 'UNIQUE' ? 'unique' : word === 'FULLTEXT' ? 'fulltext' : word === 'SPATIAL' ? 'spatial' : 'index'
  }
  r.at = start
  return null
}

function readKey(r: Reader, type: KeyElement['type'], constraint: string, text: string): KeyElement {
  let name = constraint
  if (r.isName() && !r.isWord('USING')) name = r.name().text
  if (r.takeWords('USING')) r.name()
  r.expectOperator('(')
  const columns: (string | null)[] = []
  const prefixes: (number | null)[] = []
  while (!r.takeOperator(')')) {
    let prefix: number | null = null
    if (r.takeOperator('(')) {
      r.skipParentheses()
      columns.push(null)
    } else {
      columns.push(r.name('a column').text)
      if (r.takeOperator('(')) {
        prefix = Number(r.text())
        r.skipParentheses()
      }
    }
    prefixes.push(prefix)
    // ASC, DESC, WITHOUT OVERLAPS
    while (!r.isOperator(')') && !r.takeOperator(',')) {
      if (r.atEnd()) r.fail(')')
      r.at++
    }
  }
  return { kind: 'key', type, name: type === 'primary' ? 'PRIMARY' : name, columns, prefixes, text }
}

function readForeignKey(r: Reader, constraint: string, text: string): ForeignKeyElement {
  let name = constraint
  if (r.isName()) name = r.name().text
  const columns = nameList(r)
  r.expectWord('REFERENCES')
  const table = r.tableName()
  const referenced = nameList(r)
  let onDelete = 'RESTRICT'
  let onUpdate = 'RESTRICT'
  while (r.takeWords('ON')) {
    const event = r.takeOneOf('DELETE', 'UPDATE')
    const action = r.takeWords('SET', 'NULL')
      ? 'SET NULL'
      : r.takeWords('SET', 'DEFAULT')
        ? 'SET DEFAULT'
        : r.takeWords('NO', 'ACTION')
          ? 'NO ACTION'
          : r.name().text.toUpperCase()
    if (event === 'DELETE') onDelete = action
    else onUpdate = action
  }
  return {
    kind: 'foreign-key',
    name,
    columns,
    references: { schema: table.schema?.text ?? null, table: table.name.text, columns: referenced },
    onDelete,
    onUpdate,
    text,
  }
}

function nameList(r: Reader): string[] {
  const names: string[] = []
  r.expectOperator('(')
  do names.push(r.name('a column').text)
  while (r.takeOperator(','))
  r.expectOperator(')')
  return names
}

function readColumn(r: Reader, text: string): ColumnElement {
  const name = r.name('a column').text
  const dataType = r.name('a type').text.toLowerCase()
  let autoIncrement = false
  let notNull = false
  let generated: ColumnElement['generated'] = null
  let invisible = false
  // Only words outside parentheses are attributes: inside stand expressions, lengths and enum values.
  for (; !r.atEnd(); r.at++) {
    if (r.takeOperator('(')) {
      r.skipParentheses()
      r.at--
      continue
    }
    switch (r.word()) {
      case 'AUTO_INCREMENT':
        autoIncrement = true
        break
      case 'NOT':
        if (r.isWord('NULL', 1)) notNull = true
        break
      case 'AS':
        generated ??= 'virtual'
        break
      case 'STORED':
      case 'PERSISTENT':
        if (generated !== null) generated = 'stored'
        break
      case 'INVISIBLE':
        invisible = true
        break
      case 'COMMENT':
        r.at++
        break
      case 'DEFAULT':
        if (!r.isOperator('(', 1)) r.at++
        break
      default:
        break
    }
  }
  return { kind: 'column', name, dataType, autoIncrement, notNull, generated, invisible, text }
}

/** The element's text; executable comments that begin or end with its tokens are kept whole. */
function elementText(lexed: Lexed, span: Span): string {
  let start = tokenStart(lexed, span.from)
  let end = tokenEnd(lexed, span.to - 1)
  const { bytes, versioned } = lexed
  for (let i = 0; i < versioned.length; i += 2) {
    if (versioned[i] === span.from) start = bytes.lastIndexOf('/*', start)
    if (versioned[i + 1] === span.to) end = bytes.indexOf('*/', end) + 2
  }
  return bytes.toString('utf8', start, end)
}

/** As the server prints it: one element a line. */
export function printTableDefinition(definition: TableDefinition, quotedName?: string): string {
  const name = quotedName ?? '`' + definition.name.replaceAll('`', '``') + '`'
  return `CREATE ${definition.temporary ? 'TEMPORARY ' : ''}TABLE ${name} (\n  ${definition.elements.map((element) => element.text).join(',\n  ')}\n)${definition.options}`
}

/** Removes the first run of these words (at the top level of the text) and the white space before it. */
export function removeWords(text: string, words: readonly string[], alsoValue: boolean): string {
  const lexed = new Lexer().lex(Buffer.from(text))
  const r = new Reader(lexed, parseQuery)
  for (; !r.atEnd(); r.at++) {
    const from = r.at
    if (r.takeOperator('(')) {
      r.skipParentheses()
      r.at--
      continue
    }
    if (!r.takeWords(...words)) continue
    if (alsoValue) {
      r.takeOperator('=')
      r.at++
    }
    let start = tokenStart(lexed, from)
    while (start > 0 && (lexed.bytes[start - 1] as number) <= 0x20) start--
    const end = tokenEnd(lexed, r.at - 1)
    return lexed.bytes.toString('utf8', 0, start) + lexed.bytes.toString('utf8', end)
  }
  return text
}
