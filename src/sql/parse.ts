/** Reads one statement. Errors: SW-SQL-004 to 007; never anything else for any text that the lexer takes. */
import type { Statement } from './ast.ts'
import { parseDdl, parseLoadData, parseOther } from './ddl.ts'
import { parseDelete, parseInsert, parseUpdate } from './dml.ts'
import { sqlErrors } from './errors.ts'
import type { Lexed } from './lexer.ts'
import { Reader } from './reader.ts'
import { parseQuery } from './select.ts'
import { parseKill, parseLockTables, parsePrepare, parseSet, parseShow, parseTransaction } from './session-statements.ts'

export function parse(lexed: Lexed): Statement {
  const r = new Reader(lexed, parseQuery)
  const statement = parseStatement(r)
  if (!r.atEnd()) r.fail('the end of the statement')
  return statement
}

function parseStatement(r: Reader): Statement {
  const from = r.at
  if (r.isOperator('(')) return query(r)
  const word = r.word()
  switch (word) {
    case 'SELECT':
      return query(r)
    case 'WITH':
      return parseAfterWith(r)
    case 'INSERT':
    case 'REPLACE':
      return parseInsert(r)
    case 'UPDATE':
      return parseUpdate(r)
    case 'DELETE':
      return parseDelete(r)
    case 'BEGIN':
    case 'START':
    case 'COMMIT':
    case 'ROLLBACK':
    case 'SAVEPOINT':
    case 'RELEASE':
      if (word === 'START' && !r.isWord('TRANSACTION', 1)) return parseOther(r)
      if (word === 'BEGIN' && r.isWord('NOT', 1)) r.refuse('BEGIN NOT ATOMIC')
      return parseTransaction(r)
    case 'SET':
      return parseSet(r)
    case 'SHOW':
      return parseShow(r)
    case 'USE': {
      r.at++
      const schema = r.name('a database')
      return { kind: 'use', schema, span: r.span(from) }
    }
    case 'EXPLAIN':
    case 'DESCRIBE':
    case 'DESC':
      return parseExplain(r)
    case 'DROP':
      if (r.isWord('PREPARE', 1)) return parsePrepare(r)
      return parseDdl(r)
    case 'CREATE':
    case 'ALTER':
    case 'TRUNCATE':
    case 'RENAME':
      return parseDdl(r)
    case 'LOCK':
      return parseLockTables(r)
    case 'UNLOCK': {
      r.at++
      if (r.takeOneOf('TABLES', 'TABLE') === null) r.refuse('UNLOCK ' + r.word())
      return { kind: 'unlock-tables', span: r.span(from) }
    }
    case 'KILL':
      return parseKill(r)
    case 'LOAD':
      return parseLoadData(r)
    case 'CALL': {
      r.at++
      const procedure = r.tableName()
      r.skipRest()
      return { kind: 'call', procedure, span: r.span(from) }
    }
    case 'PREPARE':
    case 'EXECUTE':
    case 'DEALLOCATE':
      return parsePrepare(r)
    default:
      if (known.has(word)) return parseOther(r)
      throw sqlErrors.unsupportedStatement({ construct: r.atEnd() ? 'nothing' : word === '' ? r.text() : word })
  }
}

/** Statements that are read no further than their first word. */
const known = new Set([
  'ANALYZE',
  'CHECK',
  'CHECKSUM',
  'OPTIMIZE',
  'REPAIR',
  'FLUSH',
  'RESET',
  'GRANT',
  'REVOKE',
  'DO',
  'HANDLER',
  'XA',
  'INSTALL',
  'UNINSTALL',
  'HELP',
  'PURGE',
  'CHANGE',
  'STOP',
  'CACHE',
  'BINLOG',
  'SIGNAL',
  'RESIGNAL',
  'GET',
  'SHUTDOWN',
  'CLONE',
  'IMPORT',
  'RESTART',
  'TABLE',
  'VALUES',
])

function query(r: Reader): Statement {
  const from = r.at
  const parsed = parseQuery(r)
  return { kind: 'query', query: parsed, span: r.span(from) }
}

/** WITH … can begin a SELECT, an UPDATE or a DELETE: the first word behind its parentheses tells. */
function parseAfterWith(r: Reader): Statement {
  let depth = 0
  for (let ahead = 1; ahead + r.at < r.lexed.count; ahead++) {
    if (r.isOperator('(', ahead)) depth++
    else if (r.isOperator(')', ahead)) depth--
    else if (depth === 0) {
      if (r.isWord('UPDATE', ahead)) return parseUpdate(r)
      if (r.isWord('DELETE', ahead)) return parseDelete(r)
      if (r.isWord('SELECT', ahead)) break
    }
  }
  return query(r)
}

function parseExplain(r: Reader): Statement {
  const from = r.at++
  r.takeOneOf('EXTENDED', 'PARTITIONS', 'ANALYZE')
  if (r.takeWords('FORMAT')) {
    r.expectOperator('=')
    r.at++
  }
  if (r.isWord('FOR')) r.refuse('EXPLAIN FOR CONNECTION')
  if (!r.isOperator('(') && !['SELECT', 'WITH', 'INSERT', 'REPLACE', 'UPDATE', 'DELETE'].includes(r.word())) {
    // DESCRIBE table [column]
    const table = r.tableName()
    r.skipRest()
    return {
      kind: 'show',
      what: 'COLUMNS',
      full: false,
      scope: null,
      schema: table.schema,
      table,
      like: null,
      where: null,
      span: r.span(from),
    }
  }
  const inner = parseStatement(r)
  return { kind: 'explain', inner, span: r.span(from) }
}
