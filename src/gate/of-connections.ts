/**
 * Questions about the connections of a server. Sessions share these, so what a server says of one is not the session's: its history of statements (SHOW PROFILES, the optimizer's trace) has the texts of others, and its
 * number is not one that KILL knows. Refused here, but for `information_schema.PROCESSLIST`, of which the gate's own sessions are the rows (schemata.ts). Pure.
 */
import { Kind, tokenKind, type Lexed } from '../sql/lexer.ts'
import type { Words } from './statement-words.ts'

export type QuestionRefused = { readonly construct: string; readonly reason: string; readonly fix: string }

/** Most statements hold none of these. */
const concerned = /\b(profil(e|es|ing)|optimizer_trace|processlist|threads|session|explain|analyze|desc|describe|is_used_lock)\b/i

const history: Omit<QuestionRefused, 'construct'> = {
  reason: 'a server keeps it for a connection, and sessions share connections: it would tell the statements of others',
  fix: 'connect to the server itself for it',
}
const numbers: Omit<QuestionRefused, 'construct'> = {
  reason: "it names sessions by the server's numbers, and one of the gate's has connections of the server only while it uses them",
  fix: 'ask SHOW PROCESSLIST or information_schema.PROCESSLIST, or connect to the server itself',
}

/** Whatever statement they stand in. */
const tables: Readonly<Record<string, Readonly<Record<string, Omit<QuestionRefused, 'construct'>>>>> = {
  INFORMATION_SCHEMA: { PROFILING: history, OPTIMIZER_TRACE: history },
  PERFORMANCE_SCHEMA: { THREADS: numbers, PROCESSLIST: numbers },
  SYS: { PROCESSLIST: numbers, SESSION: numbers, X$PROCESSLIST: numbers, X$SESSION: numbers },
}

/** What COM_RESET_CONNECTION leaves: on MariaDB the statements profiled (and the profiling itself), on MySQL those traced. */
export const countOfHistory =
  'SELECT (SELECT COUNT(*) FROM information_schema.PROFILING) + (SELECT COUNT(*) FROM information_schema.OPTIMIZER_TRACE)'

/** What is made of it is read later, or by a server alone. */
const unread = new Set(['SET', 'CREATE', 'ALTER', 'CALL', 'LOAD'])

/** @param alone it goes to the server as it stands: a text that is prepared by a statement, or one that the gate's parser does not read */
export function refusedQuestion(words: Words, lexed: Lexed, alone = false): QuestionRefused | null {
  if (!concerned.test(lexed.key)) return null
  const verb = words.at(0)
  const second = words.at(1)
  if (verb === 'SHOW' && (second === 'EXPLAIN' || second === 'ANALYZE')) return { construct: `SHOW ${second} FOR a connection`, ...numbers }
  for (let i = 0; i < lexed.count; i++) {
    const word = words.at(i)
    const isSet = ['=', ':='].includes(words.raw(i + 1))
    if (verb === 'SET' && second === 'STATEMENT' && (word === 'OPTIMIZER_TRACE' || word === 'PROFILING') && isSet)
      return { construct: `SET STATEMENT ${word.toLowerCase()}`, ...history }
    const next = words.at(i + 1)
    if (word === 'SHOW' && (next === 'PROFILE' || next === 'PROFILES')) return { construct: `SHOW ${next}`, ...history }
    if (word === 'FOR' && next === 'CONNECTION' && ['EXPLAIN', 'DESC', 'DESCRIBE', 'ANALYZE'].includes(verb))
      return { construct: `${verb} FOR CONNECTION`, ...numbers }
    if (verb === 'SET' && word === 'IS_USED_LOCK' && next === '(')
      return { construct: 'IS_USED_LOCK() in SET', ...numbers, fix: 'ask for it by a SELECT of its own' }
    if (next !== '.' || (word === '' && tokenKind(lexed, i) !== Kind.QuotedName)) continue
    const schema = words.name(i).toUpperCase()
    const table = words.name(i + 2).toUpperCase()
    // `sys.session` may be a column of a table that is called so.
    const isTable = schema !== 'SYS' || ['FROM', 'JOIN', 'TABLE'].includes(words.at(i - 1))
    const refused = isTable && Object.hasOwn(tables, schema) ? tables[schema] : undefined
    if (refused !== undefined && Object.hasOwn(refused, table))
      return { construct: `${schema.toLowerCase()}.${table.toLowerCase()}`, ...(refused[table] as typeof history) }
    if (schema === 'INFORMATION_SCHEMA' && table === 'PROCESSLIST' && (alone || unread.has(verb)))
      return {
        construct: `information_schema.processlist in ${alone ? 'a statement of this form' : verb}`,
        reason: "its rows are the gate's sessions, which the server does not know",
        fix: 'read it by a SELECT of its own',
      }
  }
  return null
}
