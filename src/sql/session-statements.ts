/** Statements about the session: transactions, SET, SHOW, KILL, locks, PREPARE. */
import type { Expr, SetItem, Statement, TableName } from './ast.ts'
import { parseExpression } from './expression.ts'
import { Kind } from './lexer.ts'
import { nameText, type Reader, variableName } from './reader.ts'

type Transaction = Extract<Statement, { kind: 'transaction' }>
type Set = Extract<Statement, { kind: 'set' }>
type Show = Extract<Statement, { kind: 'show' }>

const plain = { readOnly: null, consistentSnapshot: false, chain: false, release: false, savepoint: null } as const

export function parseTransaction(r: Reader): Transaction {
  const from = r.at
  if (r.takeWords('BEGIN')) {
    r.takeWords('WORK')
    return { kind: 'transaction', verb: 'begin', ...plain, span: r.span(from) }
  }
  if (r.takeWords('START', 'TRANSACTION')) {
    let readOnly: boolean | null = null
    let consistentSnapshot = false
    do {
      if (r.takeWords('WITH', 'CONSISTENT', 'SNAPSHOT')) consistentSnapshot = true
      else if (r.takeWords('READ', 'ONLY')) readOnly = true
      else if (r.takeWords('READ', 'WRITE')) readOnly = false
    } while (r.takeOperator(','))
    return { kind: 'transaction', verb: 'begin', ...plain, readOnly, consistentSnapshot, span: r.span(from) }
  }
  if (r.takeWords('SAVEPOINT'))
    return { kind: 'transaction', verb: 'savepoint', ...plain, savepoint: r.name('a savepoint').text, span: r.span(from) }
  if (r.takeWords('RELEASE', 'SAVEPOINT')) {
    return { kind: 'transaction', verb: 'release-savepoint', ...plain, savepoint: r.name('a savepoint').text, span: r.span(from) }
  }
  const verb = r.takeWords('COMMIT') ? 'commit' : 'rollback'
  if (verb === 'rollback') r.expectWord('ROLLBACK')
  r.takeWords('WORK')
  if (verb === 'rollback' && r.takeWords('TO')) {
    r.takeWords('SAVEPOINT')
    return { kind: 'transaction', verb: 'rollback-to', ...plain, savepoint: r.name('a savepoint').text, span: r.span(from) }
  }
  const chain = r.takeWords('AND', 'CHAIN')
  if (!chain) r.takeWords('AND', 'NO', 'CHAIN')
  const release = r.takeWords('RELEASE')
  if (!release) r.takeWords('NO', 'RELEASE')
  return { kind: 'transaction', verb, ...plain, chain, release, span: r.span(from) }
}

export function parseSet(r: Reader): Set {
  const from = r.at
  r.expectWord('SET')
  const items: SetItem[] = []
  do items.push(setItem(r))
  while (r.takeOperator(','))
  return { kind: 'set', items, span: r.span(from) }
}

function setItem(r: Reader): SetItem {
  if (r.kind() === Kind.UserVariable) {
    const name = variableName(r.text().slice(1))
    r.at++
    equals(r)
    return { kind: 'user-variable', name, value: parseExpression(r) }
  }
  if (r.takeWords('NAMES')) {
    if (r.takeWords('DEFAULT')) return { kind: 'names', charset: null, collation: null }
    const charset = word(r)
    return { kind: 'names', charset, collation: r.takeWords('COLLATE') ? word(r) : null }
  }
  if (r.takeWords('CHARACTER', 'SET') || r.takeWords('CHARSET'))
    return { kind: 'character-set', charset: r.takeWords('DEFAULT') ? null : word(r) }
  if (r.kind() === Kind.SystemVariable) {
    const variable = r.text().slice(2)
    r.at++
    equals(r)
    const dot = variable.indexOf('.')
    const first = dot < 0 ? '' : variable.slice(0, dot).toLowerCase()
    const scope = scopes[first]
    const name = nameText(scope === undefined ? variable : variable.slice(dot + 1)).toLowerCase()
    // `SET @@x = …` without a scope is the session's, save for the transaction characteristics: those are the next one's.
    return { kind: 'system-variable', scope: scope ?? (transactionVariables.has(name) ? 'next' : 'session'), name, value: setValue(r) }
  }
  const scopeWord = r.takeOneOf('SESSION', 'LOCAL', 'GLOBAL', 'PERSIST', 'PERSIST_ONLY')
  const scope = scopeWord === null ? 'session' : (scopes[scopeWord.toLowerCase()] ?? 'session')
  if (r.takeWords('TRANSACTION'))
    return transactionCharacteristics(r, scopeWord === null ? 'next' : scope === 'global' ? 'global' : 'session')
  if (['PASSWORD', 'ROLE', 'DEFAULT', 'RESOURCE', 'STATEMENT'].includes(r.word()) && !r.isOperator('=', 1)) r.refuse('SET ' + r.word())
  const names = [r.name('a variable').text]
  while (r.takeOperator('.')) names.push(r.name('a variable').text)
  equals(r)
  return { kind: 'system-variable', scope, name: names.join('.').toLowerCase(), value: setValue(r) }
}

const scopes: Readonly<Record<string, 'session' | 'global' | 'persist'>> = {
  session: 'session',
  local: 'session',
  global: 'global',
  persist: 'persist',
  persist_only: 'persist',
}
const transactionVariables = new Set(['transaction_isolation', 'tx_isolation', 'transaction_read_only', 'tx_read_only'])

/** ON, BINARY and other reserved words are values here. */
function setValue(r: Reader): Expr {
  if (r.kind() === Kind.Word && (r.kind(1) === Kind.End || r.isOperator(',', 1))) {
    const from = r.at
    if (r.isWord('DEFAULT')) return parseExpression(r)
    const name = r.name()
    return { kind: 'column', schema: null, table: null, name, span: r.span(from) }
  }
  return parseExpression(r)
}

function transactionCharacteristics(r: Reader, scope: 'next' | 'session' | 'global'): SetItem {
  let isolation: string | null = null
  let readOnly: boolean | null = null
  do {
    if (r.takeWords('ISOLATION', 'LEVEL')) {
      if (r.takeWords('REPEATABLE', 'READ')) isolation = 'REPEATABLE READ'
      else if (r.takeWords('READ', 'COMMITTED')) isolation = 'READ COMMITTED'
      else if (r.takeWords('READ', 'UNCOMMITTED')) isolation = 'READ UNCOMMITTED'
      else if (r.takeWords('SERIALIZABLE')) isolation = 'SERIALIZABLE'
      else r.fail('an isolation level')
    } else if (r.takeWords('READ', 'ONLY')) readOnly = true
    else if (r.takeWords('READ', 'WRITE')) readOnly = false
    else r.fail('ISOLATION LEVEL or READ')
  } while (r.takeOperator(','))
  return { kind: 'transaction', scope, isolation, readOnly }
}

function equals(r: Reader): void {
  if (!r.takeOperator('=')) r.expectOperator(':=')
}

/** A word or a string, as text in lower case. */
function word(r: Reader): string {
  if (r.kind() === Kind.String) {
    const text = r.text().slice(1, -1)
    r.at++
    return text.toLowerCase()
  }
  return r.name('a name').text.toLowerCase()
}

export function parseShow(r: Reader): Show {
  const from = r.at
  r.expectWord('SHOW')
  let full = false
  let scope: 'session' | 'global' | null = null
  for (;;) {
    const modifier = r.takeOneOf('FULL', 'EXTENDED', 'GLOBAL', 'SESSION', 'LOCAL')
    if (modifier === null) break
    if (modifier === 'FULL') full = true
    else if (modifier === 'GLOBAL') scope = 'global'
    else if (modifier !== 'EXTENDED') scope = 'session'
  }
  const words: string[] = []
  let schema = null
  let table: TableName | null = null
  let like: Expr | null = null
  let where: Expr | null = null
  while (!r.atEnd()) {
    const tableLess = words.length > 0 && !['COLUMNS', 'FIELDS', 'INDEX', 'INDEXES', 'KEYS'].includes(words[0] as string)
    if (r.takeOneOf('FROM', 'IN') !== null) {
      if (table === null && !tableLess) table = r.tableName()
      else schema = r.name('a database')
    } else if (r.takeWords('LIKE')) like = parseExpression(r)
    else if (r.takeWords('WHERE')) where = parseExpression(r)
    else if (r.takeWords('LIMIT')) r.skipRest()
    else if (words[0] === 'CREATE' && words.length >= 2 && r.isName()) {
      r.takeWords('IF', 'NOT', 'EXISTS')
      if (words[1] === 'DATABASE' || words[1] === 'SCHEMA') schema = r.name('a database')
      else table = r.tableName()
    } else if (r.kind() === Kind.Word) words.push(r.name().text.toUpperCase())
    else r.skipRest()
  }
  if (table?.schema) schema = table.schema
  return { kind: 'show', what: words.join(' '), full, scope, schema, table, like, where, span: r.span(from) }
}

export function parseKill(r: Reader): Statement {
  const from = r.at
  r.expectWord('KILL')
  r.takeOneOf('HARD', 'SOFT')
  const what = r.takeOneOf('CONNECTION', 'QUERY') === 'QUERY' ? 'query' : 'connection'
  return { kind: 'kill', what, id: parseExpression(r), span: r.span(from) }
}

export function parseLockTables(r: Reader): Statement {
  const from = r.at
  r.expectWord('LOCK')
  if (r.takeOneOf('TABLES', 'TABLE') === null) r.refuse('LOCK ' + r.word())
  const tables: TableName[] = []
  do {
    tables.push(r.tableName())
    while (!r.atEnd() && !r.isOperator(',')) r.at++
  } while (r.takeOperator(','))
  return { kind: 'lock-tables', tables, span: r.span(from) }
}

export function parsePrepare(r: Reader): Statement {
  const from = r.at
  if (r.takeWords('PREPARE')) {
    const name = r.name('a name').text.toLowerCase()
    r.expectWord('FROM')
    return { kind: 'prepare', name, source: parseExpression(r), span: r.span(from) }
  }
  if (r.takeWords('EXECUTE')) {
    if (r.isWord('IMMEDIATE')) r.refuse('EXECUTE IMMEDIATE')
    const name = r.name('a name').text.toLowerCase()
    const using: string[] = []
    if (r.takeWords('USING')) {
      do {
        if (r.kind() !== Kind.UserVariable) r.fail('a user variable')
        using.push(variableName(r.text().slice(1)))
        r.at++
      } while (r.takeOperator(','))
    }
    return { kind: 'execute', name, using, span: r.span(from) }
  }
  if (r.takeOneOf('DEALLOCATE', 'DROP') === null) r.fail('DEALLOCATE')
  r.expectWord('PREPARE')
  return { kind: 'deallocate', name: r.name('a name').text.toLowerCase(), span: r.span(from) }
}
