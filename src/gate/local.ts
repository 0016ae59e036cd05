/** Answers that need no server: the session's own values, the list of sessions. */
import type { Core } from './core.ts'
import { integerColumn, rowsFrames, textColumn } from './replies.ts'

export function localAnswer(
  question: { value: 'connection-id' | 'row-count' | 'database' | 'last-insert-id'; label: string },
  session: { threadId: number; keyspace: string; affectedRows: bigint; lastInsertId: bigint; status: number },
): Buffer {
  switch (question.value) {
    case 'connection-id':
      return rowsFrames([integerColumn(question.label)], [[String(session.threadId)]], session.status)
    case 'row-count':
      return rowsFrames([integerColumn(question.label)], [[String(session.affectedRows)]], session.status)
    case 'last-insert-id':
      return rowsFrames([integerColumn(question.label)], [[String(session.lastInsertId)]], session.status)
    case 'database':
      return rowsFrames([textColumn(question.label, 64)], [[session.keyspace === '' ? null : session.keyspace]], session.status)
  }
}

export function processList(core: Core, status: number, full: boolean): Buffer {
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
  const nowMs = core.clock.monotonicMs()
  const rows = [...core.sessions.values()].map((s) => {
    const { command, sinceMs, text } = s.doing
    return [
      String(s.threadId),
      s.user,
      s.host,
      s.keyspace === '' ? null : s.keyspace,
      command,
      String(Math.max(0, Math.round((nowMs - sinceMs) / 1000))),
      '',
      text === '' ? null : full ? text : text.slice(0, 100),
    ]
  })
  return rowsFrames(columns, rows, status)
}

/** SHOW DATABASES: what a client may USE. */
export function databases(core: Core, like: string | null, status: number): Buffer {
  const keyspaces = [...core.watch.view.keyspaces.values()].filter((keyspace) => keyspace.role === 'primary')
  const names = ['information_schema', ...keyspaces.map((keyspace) => keyspace.name)]
    .filter((n) => like === null || matchesLike(n, like))
    .sort()
  const label = like === null ? 'Database' : `Database (${like})`
  const rows = names.map((n) => [n])
  return rowsFrames([textColumn(label, 64)], rows, status)
}

/** SQL's LIKE, without regard to case. */
function matchesLike(name: string, pattern: string): boolean {
  let source = ''
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i] as string
    if (c === '\\' && i + 1 < pattern.length) source += escape(pattern[++i] as string)
    else source += c === '%' ? '.*' : c === '_' ? '.' : escape(c)
  }
  return new RegExp(`^${source}$`, 'is').test(name)
}

function escape(c: string): string {
  return c.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
}

/** COM_STATISTICS. */
export function statistics(core: Core): Buffer {
  const text = `Uptime: ${Math.round(core.clock.monotonicMs() / 1000)}  Threads: ${core.stats.sessions}  Questions: ${core.stats.statements}`
  const framed = Buffer.allocUnsafe(text.length + 4)
  framed.writeUInt32LE((text.length | (1 << 24)) >>> 0, 0)
  framed.write(text, 4)
  return framed
}
