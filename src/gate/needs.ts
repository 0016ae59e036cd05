/**
 * What a statement needs of its user: rights, and on which schemas. Pure; kept with what passthrough.ts made of the text.
 *
 * Why a user can't reach a schema that he has no right on: the account that the servers know may use all of them, so every name before a dot must be
 * one that the parser has found to be a table's schema or a function's (then it is named here), or the qualifier of a column. What is left over, and
 * what runs a text of its own making (PREPARE, EXECUTE IMMEDIATE, also within a routine), and what only some servers run (executable comments, by
 * which `FROM mysql.user` may be part of an expression here and a table there), is `unclear`, and refused to users who may not do all.
 */
import { Kind, tokenKind, tokenStart, type Lexed } from '../sql/lexer.ts'
import type { Statement } from '../sql/ast.ts'
import type { Right } from '../topology/records.ts'
import type { Passthrough, Relay } from './passthrough.ts'
import { hasHarmlessComments } from './plan/session-plan.ts'
import { callsStored } from './pure-functions.ts'
import { hasViewQuery, namesIn, parsed, wordAt } from './statement-names.ts'

export type Needs = {
  readonly verb: string
  /** Null: what concerns a server as a whole, for users who may do all. */
  readonly rights: readonly Right[] | null
  /** Schemas named, information_schema apart. */
  readonly schemas: readonly string[]
  /** The tokens that name them: before a dot, or alone in SHOW. */
  readonly schemaTokens: readonly number[]
  /** Of `Relay.qualifiers`, those that the parser has not understood: they may name a schema, an alias or a table. */
  readonly unknownTokens: readonly number[]
  /** Tables, sequences and stored functions without a schema: they are the session's keyspace's. Null: not known. */
  readonly bare: boolean | null
  /** What can't be told apart, for the refusal. */
  readonly unclear: string | null
  /** The first table named, for the refusal. */
  readonly table: string
}

const ddlObjects = new Set([
  'TABLE',
  'TABLES',
  'INDEX',
  'VIEW',
  'TRIGGER',
  'PROCEDURE',
  'FUNCTION',
  'EVENT',
  'SEQUENCE',
  'PACKAGE',
  'SPATIAL',
])
const serverObjects = new Set([
  'USER',
  'ROLE',
  'DATABASE',
  'SCHEMA',
  'SERVER',
  'TABLESPACE',
  'LOGFILE',
  'INSTANCE',
  'RESOURCE',
  'UNDO',
  'SONAME',
])
const readAndWrite: readonly Right[] = ['read', 'write']
const byVerb: Readonly<Record<string, readonly Right[] | undefined>> = {
  SELECT: ['read'],
  '(': ['read'],
  VALUES: ['read'],
  TABLE: ['read'],
  WITH: ['read'],
  DESC: ['read'],
  DESCRIBE: ['read'],
  EXPLAIN: ['read'],
  VEXPLAIN: ['read'],
  HELP: [],
  CHECKSUM: ['read'],
  CHECK: ['read'],
  DO: ['read'],
  UPDATE: readAndWrite,
  DELETE: readAndWrite,
  LOAD: ['write'],
  CALL: readAndWrite,
  LOCK: readAndWrite,
  HANDLER: ['read'],
  ANALYZE: readAndWrite,
  OPTIMIZE: readAndWrite,
  REPAIR: readAndWrite,
  TRUNCATE: ['ddl'],
  RENAME: ['ddl'],
  SAVEPOINT: [],
  RELEASE: [],
  ROLLBACK: [],
  GET: [],
  DEALLOCATE: [],
  SIGNAL: [],
  RESIGNAL: [],
}
/** What SHOW shows of a keyspace, or of the session. */
const shown =
  /^(|TABLES|TABLE STATUS|COLUMNS|FIELDS|INDEX|INDEXES|KEYS|TRIGGERS|EVENTS|CREATE (TABLE|VIEW|DATABASE|SCHEMA|TRIGGER|EVENT|PROCEDURE|FUNCTION|SEQUENCE|PACKAGE.*)|(PROCEDURE|FUNCTION|PACKAGE.*) (STATUS|CODE)|VARIABLES|STATUS|WARNINGS|ERRORS|COUNT.*|COLLATION|CHARACTER SET|CHARSET|ENGINES|STORAGE ENGINES|PLUGINS.*|PRIVILEGES|DATABASES|SCHEMAS)$/

const known = new WeakMap<Relay, Needs>()

/** @param lex gives the statement's tokens, when it must be looked at */
export function needsOf(lex: () => Lexed, relay: Relay): Needs {
  let needs = known.get(relay)
  if (needs === undefined) known.set(relay, (needs = judge(lex(), relay.effect, relay.qualifiers)))
  return needs
}

/** Of SET, whose values may ask for rows. */
export function needsOfSet(lexed: Lexed): Needs {
  return judge(lexed, 'read', qualifiersOf(lexed))
}

/**
 * Whether a session without a keyspace can not run it: what is named without a schema would be looked for in whatever schema its connection served before, of a keyspace that the user may
 * have no right on. So what is not surely without such a name is refused too.
 */
export function needsKeyspace(lex: () => Lexed, statement: Passthrough): boolean {
  if (statement.kind === 'relay') return needsOf(lex, statement).bare !== false
  return statement.kind === 'set' && needsOfSet(lex()).bare !== false
}

function judge(lexed: Lexed, effect: Relay['effect'], qualifiers: readonly number[]): Needs {
  const words: string[] = []
  for (let i = 0; i < lexed.count; i++) words.push(wordAt(lexed, i))
  const verb = words[0] ?? ''
  const statement = parsed(lexed)
  const names = statement === null ? null : namesIn(statement, lexed, words)
  const unknownTokens = qualifiers.filter((token) => names?.understood.has(token) !== true)
  const clear = names !== null && unknownTokens.length === 0
  const ownText = ['PREPARE', 'EXECUTE'].includes(verb) || (verb === 'CREATE' && words.some((w) => w === 'PREPARE' || w === 'IMMEDIATE'))
  // As a whole it is run or skipped.
  const inComment = lexed.versioned[0] === 0 && lexed.versioned[1] === lexed.count
  const hidden = ownText
    ? 'a statement in a string'
    : !inComment && !hasHarmlessComments(lexed)
      ? 'an executable comment'
      : clear || (names === null && !words.includes('.') && !hasDotted(lexed))
        ? null
        : 'a name before a dot'
  return {
    verb: verb === '(' ? 'SELECT' : verb,
    rights: rightsFor(verb, words, effect, statement, names?.serverOnly === true),
    schemas: [...new Set(names?.schemas)],
    schemaTokens: [...(names?.schemaTokens ?? [])],
    unknownTokens,
    bare: names?.bare ?? (isWithoutNames(verb, words, lexed) ? false : null),
    unclear: hidden,
    table: names?.table ?? '',
  }
}

function rightsFor(
  verb: string,
  words: readonly string[],
  effect: Relay['effect'],
  statement: Statement | null,
  serverOnly: boolean,
): readonly Right[] | null {
  if (serverOnly) return null
  switch (verb) {
    case 'CREATE':
    case 'ALTER':
    case 'DROP': {
      if (words[1] === 'PREPARE') return []
      if (words.includes('SONAME')) return null
      const object = words.slice(1).find((word) => ddlObjects.has(word) || serverObjects.has(word))
      if (object === undefined || serverObjects.has(object)) return null
      if (statement?.kind === 'ddl' && (statement.filled || hasViewQuery(statement, words))) return ['ddl', 'read']
      return words.slice(1, 4).includes('TEMPORARY') ? ['write'] : ['ddl']
    }
    case 'SHOW':
      return statement?.kind === 'show' && shown.test(statement.what) ? [] : null
    case 'EXPLAIN':
    case 'DESC':
    case 'DESCRIBE':
      return effect === 'write' ? readAndWrite : ['read']
    case 'INSERT':
    case 'REPLACE':
      return words.some((w) => ['SELECT', 'TABLE', 'WITH', 'RETURNING', 'UPDATE'].includes(w)) ? readAndWrite : ['write']
    case 'SET':
      if (['STATEMENT', 'PASSWORD', 'ROLE', 'DEFAULT', 'RESOURCE'].includes(words[1] ?? '')) return null
      return words.includes('SELECT') || words.includes('TABLE') ? ['read'] : []
    case 'RENAME':
      if (serverObjects.has(words[1] ?? '')) return null
      break
    case 'SELECT':
    case 'WITH':
    case '(':
    case 'VALUES':
    case 'TABLE':
      if (effect === 'lock') return readAndWrite
      // INTO a variable is no write of rows; the servers' accounts may write no files.
      return effect === 'write' && words.some((w) => ['UPDATE', 'DELETE', 'NEXTVAL', 'SETVAL', 'NEXT', 'INSERT', 'REPLACE'].includes(w))
        ? readAndWrite
        : ['read']
  }
  return byVerb[verb] ?? null
}

const flushed = new Set(
  'FLUSH LOCAL NO_WRITE_TO_BINLOG TABLES WITH READ LOCK STATUS LOGS PRIVILEGES HOSTS BINARY ENGINE ERROR GENERAL SLOW RELAY OPTIMIZER_COSTS USER_RESOURCES QUERY CACHE'.split(
    ' ',
  ),
)
const nameless = new Set([
  'SELECT',
  '(',
  'WITH',
  'VALUES',
  'DO',
  'HELP',
  'GET',
  'SIGNAL',
  'RESIGNAL',
  'SET',
  'SHOW',
  'ANALYZE',
  'EXPLAIN',
  'DESC',
  'DESCRIBE',
])
/** With one of these a statement may name a table or sequence. */
const naming = new Set([
  'TABLE',
  'TABLES',
  'FROM',
  'INTO',
  'JOIN',
  'UPDATE',
  'DELETE',
  'INSERT',
  'REPLACE',
  'CALL',
  'INDEX',
  'NEXT',
  'PREVIOUS',
  'FOR',
  'NEXTVAL',
  'LASTVAL',
  'SETVAL',
])

/** Of a statement that the parser has not read through. */
function isWithoutNames(verb: string, words: readonly string[], lexed: Lexed): boolean {
  // Of the server as a whole; a table's name is none of these.
  if (verb === 'FLUSH') return words.every((word) => flushed.has(word))
  return nameless.has(verb) && !words.some((word) => naming.has(word)) && !callsStored(lexed)
}

/** `db.1t` is cut into a word and a number. */
function hasDotted(lexed: Lexed): boolean {
  for (let token = 1; token < lexed.count; token++) {
    const before = tokenKind(lexed, token - 1)
    if (before !== Kind.Word && before !== Kind.QuotedName) continue
    if (lexed.bytes[tokenStart(lexed, token)] === 0x2e) return true
  }
  return false
}

function qualifiersOf(lexed: Lexed): number[] {
  const out: number[] = []
  for (let token = 0; token + 1 < lexed.count; token++) {
    const kind = tokenKind(lexed, token)
    if (kind !== Kind.Word && kind !== Kind.QuotedName) continue
    if (wordAt(lexed, token + 1) === '.' && (token === 0 || wordAt(lexed, token - 1) !== '.')) out.push(token)
  }
  return out
}
