/**
 * Says what a statement in the binlog is, from its first words: which of PROTOCOLS 1.10 and 1.13 applies. No parser: what it does not
 * recognise is `other`, and that stops a stream. Text comes as the server logged it: mostly the client's, sometimes rewritten with
 * backticks and executable comments, whose content counts as text.
 */
import type { ObjectName, QueryKind } from './query-kind.ts'

type Token = { readonly text: string; readonly quoted: boolean; readonly escaped?: true }

const accountObjects = new Set(['USER', 'ROLE'])
const objectWords = new Set([
  'TABLE',
  'TABLES',
  'DATABASE',
  'SCHEMA',
  'INDEX',
  'VIEW',
  'TRIGGER',
  'PROCEDURE',
  'FUNCTION',
  'EVENT',
  'SEQUENCE',
  'SERVER',
  'TABLESPACE',
  'PACKAGE',
  'LOGFILE',
  'RESOURCE',
  'SPATIAL',
  'USER',
  'ROLE',
  'INSTANCE',
  'LIBRARY',
])
const maintenanceVerbs = new Set(['ANALYZE', 'OPTIMIZE', 'REPAIR', 'CHECK'])

/** @param text as `client-text.ts` reads it @param schema the session's default schema: it completes names without one @param sqlMode the session's, for what a backslash means */
export function classifyQuery(text: string, schema: string, sqlMode: bigint | null = null): QueryKind {
  const statement = new Statement(tokens(text, sqlMode ?? 0n), schema)
  if (!statement.behindSetStatement()) return { kind: 'other', verb: 'SET' }
  const verb = statement.word()
  switch (verb) {
    case 'CREATE':
    case 'ALTER':
    case 'DROP':
      return createAlterDrop(verb, statement)
    case 'RENAME':
      return rename(statement)
    case 'TRUNCATE':
      statement.skip('TABLE')
      return { kind: 'ddl', verb, object: 'TABLE', objects: [statement.name()] }
    case 'GRANT':
    case 'REVOKE':
      return { kind: 'account', verb }
    case 'SET': {
      const next = statement.word()
      const isRole = next === 'ROLE' || next === 'DEFAULT'
      return next === 'PASSWORD' || isRole ? { kind: 'account', verb: isRole ? 'SET ROLE' : 'SET PASSWORD' } : { kind: 'other', verb }
    }
    case 'FLUSH':
      return { kind: 'maintenance', verb, objects: [] }
    default: {
      if (!maintenanceVerbs.has(verb)) return { kind: 'other', verb: verb.slice(0, 64) }
      statement.skip('NO_WRITE_TO_BINLOG', 'LOCAL')
      if (!['TABLE', 'TABLES', 'VIEW'].includes(statement.word())) return { kind: 'other', verb }
      return { kind: 'maintenance', verb, objects: statement.names() }
    }
  }
}

function createAlterDrop(verb: 'CREATE' | 'ALTER' | 'DROP', statement: Statement): QueryKind {
  let temporary = false
  // Modifiers stand before the object: OR REPLACE, DEFINER = user@host, ALGORITHM = …, SQL SECURITY …, UNIQUE, IGNORE and so on.
  for (let seen = 0; seen < 32; seen++) {
    if (statement.atEnd) break
    const word = statement.word()
    if (word === 'TEMPORARY') temporary = true
    if (word === 'DEFINER') {
      // SQL SECURITY DEFINER has no account.
      if (statement.skip('=')) statement.account()
      continue
    }
    if (!objectWords.has(word) || (word === 'SPATIAL' && statement.peek() === 'INDEX')) continue
    if (accountObjects.has(word)) return { kind: 'account', verb: `${verb} ${word}` }
    return object(verb, word, temporary, statement)
  }
  return { kind: 'other', verb }
}

function object(verb: 'CREATE' | 'ALTER' | 'DROP', word: string, temporary: boolean, statement: Statement): QueryKind {
  const ddl = (objectWord: string, objects: readonly ObjectName[]): QueryKind => ({ kind: 'ddl', verb, object: objectWord, objects })
  switch (word) {
    case 'TABLES':
    case 'TABLE': {
      // Temporary ones too: what they are filled from may call what writes.
      if (verb === 'CREATE' && statement.copy().selects()) return { kind: 'other', verb: 'CREATE TABLE … SELECT' }
      if (temporary) return ddl('TEMPORARY TABLE', [])
      statement.ifExists()
      if (verb === 'DROP') return ddl('TABLE', statement.names())
      const table = statement.name()
      return ddl('TABLE', verb === 'ALTER' ? [table, ...statement.otherTablesOfAlter()] : [table])
    }
    case 'VIEW':
    case 'SEQUENCE':
      statement.ifExists()
      return ddl(word, verb === 'DROP' ? statement.names() : [statement.name()])
    case 'DATABASE':
    case 'SCHEMA':
      statement.ifExists()
      return ddl('DATABASE', [statement.schemaName()])
    case 'INDEX':
      statement.ifExists()
      statement.identifier()
      return ddl('INDEX', statement.after('ON') ? [statement.name()] : [])
    case 'TRIGGER': {
      statement.ifExists()
      const trigger = statement.name()
      return ddl('TRIGGER', verb === 'CREATE' && statement.after('ON') ? [trigger, statement.name()] : [trigger])
    }
    case 'PACKAGE':
      statement.skip('BODY')
      statement.ifExists()
      return ddl('PACKAGE', [statement.name()])
    case 'PROCEDURE':
    case 'FUNCTION':
    case 'EVENT':
    case 'LIBRARY':
      statement.ifExists()
      return ddl(word, [statement.name()])
    default:
      // Servers, tablespaces, resource groups, spatial reference systems, instances: they belong to no schema.
      return ddl(word, [])
  }
}

function rename(statement: Statement): QueryKind {
  const word = statement.word()
  if (accountObjects.has(word)) return { kind: 'account', verb: `RENAME ${word}` }
  if (word !== 'TABLE' && word !== 'TABLES') return { kind: 'other', verb: 'RENAME' }
  statement.ifExists()
  const objects: ObjectName[] = []
  do {
    objects.push(statement.name())
    // MariaDB: WAIT n, NOWAIT.
    while (!statement.atEnd && statement.word() !== 'TO');
    objects.push(statement.name())
  } while (statement.skip(','))
  return { kind: 'ddl', verb: 'RENAME', object: 'TABLE', objects }
}

class Statement {
  readonly #tokens: readonly Token[]
  readonly #schema: string
  #at = 0
  /** The last word read. */
  last = ''

  constructor(list: readonly Token[], schema: string) {
    this.#tokens = list
    this.#schema = schema
  }

  get atEnd(): boolean {
    return this.#at >= this.#tokens.length
  }

  /**
   * MariaDB logs `SET STATEMENT max_statement_time=60 FOR ALTER …` as it came (*tried*, 10.11). Moves to what it is for; false where that can't be told: a backslash in a
   * text may end it or not, as the session's sql_mode says.
   */
  behindSetStatement(): boolean {
    if (this.peek() !== 'SET' || this.#tokens[1]?.quoted !== false || this.#tokens[1].text.toUpperCase() !== 'STATEMENT') return true
    let depth = 0
    for (this.#at = 2; !this.atEnd;) {
      if (this.#tokens[this.#at]?.escaped === true) return false
      const word = this.word()
      if (word === '(') depth++
      else if (word === ')') depth--
      else if (word === 'FOR' && depth === 0) return true
    }
    return false
  }

  /** Next token as an upper-case word; '' at the end or for a quoted one. */
  word(): string {
    this.last = this.peek()
    this.#at++
    return this.last
  }

  peek(): string {
    const token = this.#tokens[this.#at]
    return token === undefined || token.quoted ? '' : token.text.toUpperCase()
  }

  skip(...words: string[]): boolean {
    if (!words.includes(this.peek())) return false
    this.#at++
    return true
  }

  ifExists(): void {
    if (this.peek() !== 'IF') return
    this.#at++
    this.skip('NOT')
    this.skip('EXISTS')
  }

  identifier(): string {
    return this.#tokens[this.#at++]?.text ?? ''
  }

  /** Moves past the next such word. */
  after(word: string): boolean {
    while (!this.atEnd) if (this.word() === word) return true
    return false
  }

  /** To look ahead. */
  copy(): Statement {
    const copy = new Statement(this.#tokens, this.#schema)
    copy.#at = this.#at
    return copy
  }

  /**
   * Behind CREATE TABLE: its rows come from a query, which stands in the text only where the statement was logged instead of its rows (in ROW format both servers log what the table is made of, and then its
   * rows). A function in the query may write another table, whose rows are in no event then (*tried*, MariaDB 10.11 in STATEMENT and MIXED; MySQL 9.7 refuses such a function there, 1746).
   */
  selects(): boolean {
    while (!this.atEnd) {
      const word = this.word()
      if (word === 'SELECT') return true
      // Of a partition: VALUES LESS THAN, VALUES IN.
      if (word === 'VALUES' && !['LESS', 'IN'].includes(this.peek())) return true
    }
    return false
  }

  name(): ObjectName {
    // MariaDB takes `.t` for a table of the default schema.
    this.skip('.')
    const first = this.identifier()
    if (!this.skip('.')) return { schema: this.#schema === '' ? null : this.#schema, name: first }
    return { schema: first, name: this.identifier() }
  }

  names(): ObjectName[] {
    const names = [this.name()]
    while (this.skip(',')) names.push(this.name())
    return names
  }

  schemaName(): ObjectName {
    // ALTER DATABASE may leave the name out.
    const bare = this.#tokens[this.#at]
    const named =
      bare !== undefined && (bare.quoted || !/^(DEFAULT|CHARACTER|CHARSET|COLLATE|ENCRYPTION|READ|COMMENT|UPGRADE)$/i.test(bare.text))
    return { schema: named ? this.identifier() : this.#schema, name: '' }
  }

  /** `user`@`host`, CURRENT_USER, CURRENT_USER() */
  account(): void {
    this.#at++
    if (this.skip('@')) this.#at++
    if (this.skip('(')) this.skip(')')
  }

  /** RENAME TO t, EXCHANGE PARTITION p WITH TABLE t, CONVERT TABLE t TO PARTITION. */
  otherTablesOfAlter(): ObjectName[] {
    const names: ObjectName[] = []
    let depth = 0
    while (!this.atEnd) {
      const word = this.word()
      if (word === '(') depth++
      else if (word === ')') depth--
      else if (depth > 0) continue
      else if (word === 'RENAME') {
        if (['COLUMN', 'INDEX', 'KEY'].includes(this.peek())) continue
        this.skip('TO', 'AS', '=')
        names.push(this.name())
      } else if ((word === 'WITH' || word === 'CONVERT') && this.skip('TABLE')) names.push(this.name())
    }
    return names
  }
}

const space = /\s/

/** Bits of sql_mode. */
const [ansiQuotes, noBackslashEscapes] = [4n, 1n << 20n]

function tokens(sql: string, sqlMode: bigint): Token[] {
  const plain = (sqlMode & noBackslashEscapes) !== 0n
  const escapes = { "'": !plain, '"': !plain && (sqlMode & ansiQuotes) === 0n, '`': false }
  const list: Token[] = []
  let i = 0
  while (i < sql.length) {
    const char = sql[i] as string
    if (space.test(char)) i++
    else if (char === '#' || (char === '-' && sql[i + 1] === '-' && (i + 2 >= sql.length || space.test(sql[i + 2] as string)))) {
      const end = sql.indexOf('\n', i)
      i = end < 0 ? sql.length : end + 1
    } else if (char === '/' && sql[i + 1] === '*') {
      // Executable comments: what is inside counts, the marks don't.
      const executable = /^\/\*M?!\d{0,6}/.exec(sql.slice(i, i + 12))
      const end = sql.indexOf('*/', i + 2)
      i = executable !== null ? i + executable[0].length : end < 0 ? sql.length : end + 2
    } else if (char === '*' && sql[i + 1] === '/') i += 2
    else if (char === '`' || char === '"' || char === "'") {
      let text = ''
      let escaped = false
      let j = i + 1
      for (; j < sql.length; j++) {
        if (sql[j] === char) {
          if (sql[j + 1] !== char) break
          j++
        } else if (sql[j] === '\\' && escapes[char]) {
          escaped = true
          j++
        }
        text += sql[j] ?? ''
      }
      list.push({ text, quoted: true, ...(escaped ? { escaped } : {}) })
      i = j + 1
    } else if (/[\w$\u0080-\uffff]/.test(char)) {
      let j = i + 1
      while (j < sql.length && /[\w$\u0080-\uffff]/.test(sql[j] as string)) j++
      list.push({ text: sql.slice(i, j), quoted: false })
      i = j
    } else {
      list.push({ text: char, quoted: false })
      i++
    }
  }
  return list
}
