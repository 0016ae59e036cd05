/** DDL and the statements known by their first word: what kind, which names; the rest is the server's to read. */
import type { Statement, TableName } from './ast.ts'
import { Kind } from './lexer.ts'
import type { Reader } from './reader.ts'

type Ddl = Extract<Statement, { kind: 'ddl' }>

const objects = [
  'TABLE',
  'TABLES',
  'INDEX',
  'VIEW',
  'DATABASE',
  'SCHEMA',
  'TRIGGER',
  'PROCEDURE',
  'FUNCTION',
  'EVENT',
  'USER',
  'ROLE',
  'SEQUENCE',
  'SERVER',
  'TABLESPACE',
  'INSTANCE',
  'PACKAGE',
  'RESOURCE',
  'LOGFILE',
  'SPATIAL',
]

export function parseDdl(r: Reader): Ddl {
  const from = r.at
  const verb = r.name().text.toLowerCase() as 'create'
  let temporary = false
  let object = ''
  const names: TableName[] = []
  if (verb === ('truncate' as string)) {
    r.takeWords('TABLE')
    object = 'TABLE'
    names.push(r.tableName())
  } else {
    // OR REPLACE, UNIQUE, FULLTEXT, ALGORITHM=…, DEFINER=`a`@`b`, SQL SECURITY …, IGNORE, AGGREGATE: up to the kind of object.
    while (object === '') {
      if (r.atEnd()) r.fail('the kind of object')
      const word = r.word()
      if (word === 'TEMPORARY') temporary = true
      if (objects.includes(word)) object = word === 'SCHEMA' ? 'DATABASE' : word === 'TABLES' ? 'TABLE' : word
      r.at++
    }
    r.takeOneOf('WAIT', 'NOWAIT')
    if (!r.takeWords('IF', 'NOT', 'EXISTS')) r.takeWords('IF', 'EXISTS')
    if (object === 'INDEX' && (verb === ('create' as string) || verb === ('drop' as string))) {
      while (!r.atEnd() && !r.isWord('ON')) r.at++
      r.expectWord('ON')
    }
    if (object !== 'USER' && object !== 'ROLE' && object !== 'INSTANCE' && r.isName()) {
      names.push(r.tableName())
      if (verb === ('drop' as string)) while (r.takeOperator(',')) names.push(r.tableName())
      if (verb === ('rename' as string)) {
        while (r.takeWords('TO') || r.takeOperator(',')) names.push(r.tableName())
      }
    }
  }
  const filled = verb === ('create' as string) && object === 'TABLE' && takesRows(r)
  r.skipRest()
  return { kind: 'ddl', verb, object, names, temporary, filled, span: r.span(from) }
}

/** CREATE TABLE … SELECT, TABLE, VALUES ROW or VALUES (…), whatever stands before: none of these stands in the definition of a table otherwise. */
function takesRows(r: Reader): boolean {
  for (let ahead = 0; r.at + ahead < r.lexed.count; ahead++) {
    if (
      r.isWord('SELECT', ahead) ||
      (r.isWord('VALUES', ahead) && (r.isWord('ROW', ahead + 1) || r.isOperator('(', ahead + 1))) ||
      r.isWord('TABLE', ahead)
    )
      return true
  }
  return false
}

/** ANALYZE TABLE a, b; CHECK, OPTIMIZE, REPAIR, CHECKSUM likewise; anything else without names. */
export function parseOther(r: Reader): Statement {
  const from = r.at
  const word = r.word()
  const names: TableName[] = []
  r.at++
  r.takeOneOf('LOCAL', 'NO_WRITE_TO_BINLOG')
  if (['ANALYZE', 'CHECK', 'OPTIMIZE', 'REPAIR', 'CHECKSUM'].includes(word) && r.takeOneOf('TABLE', 'TABLES') !== null) {
    do names.push(r.tableName())
    while (r.takeOperator(','))
  } else if (word === 'HANDLER' && r.isName()) names.push(r.tableName())
  r.skipRest()
  return { kind: 'other', word, names, span: r.span(from) }
}

export function parseLoadData(r: Reader): Statement {
  const from = r.at
  r.expectWord('LOAD')
  if (r.takeOneOf('DATA', 'XML') === null) return { kind: 'other', word: 'LOAD', names: [], span: (r.skipRest(), r.span(from)) }
  r.takeOneOf('LOW_PRIORITY', 'CONCURRENT')
  const local = r.takeWords('LOCAL')
  r.expectWord('INFILE')
  if (r.kind() !== Kind.String) r.fail('a file name')
  const file = { from: r.at, to: ++r.at }
  r.takeOneOf('REPLACE', 'IGNORE')
  r.expectWord('INTO')
  r.expectWord('TABLE')
  const table = r.tableName()
  r.skipRest()
  return { kind: 'load-data', local, file, table, span: r.span(from) }
}
