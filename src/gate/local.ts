/** Answers that need no server: the session's own values, the list of sessions. */
import type { ColumnDefinition } from '../wire/column-definition.ts'
import { collation, columnFlag, columnType } from '../wire/column-types.ts'
import type { Right, UserRecord } from '../topology/records.ts'
import { everyKeyspace, isUnrestricted } from '../topology/user-rights.ts'
import type { Core } from './core.ts'
import type { LocalValue } from './passthrough.ts'
import { matchesLike } from './like.ts'
import { listedSessions } from './listed-sessions.ts'
import { accountOf } from './session-calls.ts'
import { integerColumn, rowsFrames, textColumn, type AnswerForm } from './replies.ts'

export function localAnswer(
  question: { value: LocalValue; label: string },
  session: {
    user: string
    host: string
    threadId: number
    keyspace: string
    affectedRows: bigint
    lastInsertId: bigint
  },
  as: AnswerForm,
): Buffer {
  switch (question.value) {
    case 'connection-id':
      return rowsFrames([integerColumn(question.label)], [[String(session.threadId)]], as)
    case 'row-count':
      return rowsFrames([integerColumn(question.label)], [[String(session.affectedRows)]], as)
    case 'last-insert-id':
      return rowsFrames([integerColumn(question.label, true)], [[String(session.lastInsertId)]], as)
    case 'user':
      return rowsFrames([textColumn(question.label, 93)], [[`${session.user}@${session.host}`]], as)
    case 'account':
      return rowsFrames([textColumn(question.label, 93)], [[accountOf(session.user)]], as)
    case 'database':
      return rowsFrames([textColumn(question.label, 64)], [[session.keyspace === '' ? null : session.keyspace]], as)
  }
}

/** @param only sessions of this user; null: all */
export function processList(core: Core, full: boolean, only: string | null, as: AnswerForm): Buffer {
  const columns = [
    integerColumn('Id'),
    textColumn('User'),
    textColumn('Host'),
    textColumn('db'),
    textColumn('Command'),
    integerColumn('Time'),
    textColumn('State'),
    textColumn('Info', 1024),
  ]
  const rows = listedSessions(core, only).map(({ id, user, host, keyspace, command, ms, text }) => [
    String(id),
    user,
    host,
    keyspace === '' ? null : keyspace,
    command,
    String(Math.round(ms / 1000)),
    '',
    text === '' ? null : full ? text : text.slice(0, 100),
  ])
  return rowsFrames(columns, rows, as)
}

/**
 * The answer to SHOW WARNINGS (level, code, message), described as servers do.
 *
 * @param charset the collation of the session's results
 */
export function diagnosticRows(rows: readonly (readonly (string | null)[])[], charset: number, mariadb: boolean, as: AnswerForm): Buffer {
  const text = { charset, flags: columnFlag.notNull, decimals: mariadb ? 39 : 31 }
  const code = { ...integerColumn('Code', true), type: columnType.long, length: mariadb ? 4 : 5 }
  return rowsFrames([{ ...textColumn('Level', 7), ...text }, code, { ...textColumn('Message', 512), ...text }], rows, as)
}

export function countOfDiagnostics(errors: boolean, count: number, as: AnswerForm): Buffer {
  return rowsFrames([integerColumn(`@@session.${errors ? 'error' : 'warning'}_count`)], [[String(count)]], as)
}

/** As servers of either family describe it. */
function schemaColumn(name: string, mariadb: boolean): ColumnDefinition {
  const column = { ...textColumn(name, 64), flags: columnFlag.notNull | columnFlag.noDefaultValue, decimals: 0, table: 'SCHEMATA' }
  if (mariadb) return { ...column, schema: 'information_schema', orgTable: 'SCHEMATA', orgName: 'SCHEMA_NAME' }
  return { ...column, orgTable: 'schemata', orgName: name, flags: column.flags | columnFlag.binary, charset: collation.utf8mb4_0900 }
}

/** SHOW DATABASES: what a client may USE. */
export function databases(core: Core, like: string | null, maySee: (keyspace: string) => boolean, as: AnswerForm): Buffer {
  const keyspaces = [...core.watch.view.keyspaces.values()].filter((keyspace) => keyspace.role === 'primary' && maySee(keyspace.name))
  const names = ['information_schema', ...keyspaces.map((keyspace) => keyspace.name)]
    .filter((n) => like === null || matchesLike(n, like))
    .sort()
  const label = like === null ? 'Database' : `Database (${like})`
  const rows = names.map((n) => [n])
  return rowsFrames([schemaColumn(label, core.isMariadb)], rows, as)
}

const privileges: Readonly<Record<Right, string>> = {
  read: 'SELECT, SHOW VIEW',
  write: 'INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE',
  ddl: 'CREATE, DROP, ALTER, INDEX, REFERENCES, CREATE VIEW, TRIGGER, EVENT, CREATE ROUTINE, ALTER ROUTINE',
}

/** SHOW GRANTS: the session's own, in the server's words. */
export function grants(user: UserRecord, as: AnswerForm): Buffer {
  const account = `\`${user.name.replaceAll('`', '``')}\`@\`%\``
  const on = (keyspace: string): string => (keyspace === everyKeyspace ? '*.*' : `\`${keyspace.replaceAll('`', '``')}\`.*`)
  const lines = isUnrestricted(user)
    ? [`GRANT ALL PRIVILEGES ON *.* TO ${account}`]
    : [
        ...(user.grants?.[everyKeyspace] === undefined ? [`GRANT USAGE ON *.* TO ${account}`] : []),
        ...Object.entries(user.grants ?? {}).map(
          ([keyspace, rights]) => `GRANT ${rights.map((right) => privileges[right]).join(', ')} ON ${on(keyspace)} TO ${account}`,
        ),
      ]
  return rowsFrames(
    [textColumn(`Grants for ${accountOf(user.name)}`, 1024)],
    lines.map((line) => [line]),
    as,
  )
}

/** COM_STATISTICS. */
export function statistics(core: Core): Buffer {
  const text = `Uptime: ${Math.round(core.clock.monotonicMs() / 1000)}  Threads: ${core.stats.sessions}  Questions: ${core.stats.statements}`
  const framed = Buffer.allocUnsafe(text.length + 4)
  framed.writeUInt32LE((text.length | (1 << 24)) >>> 0, 0)
  framed.write(text, 4)
  return framed
}
