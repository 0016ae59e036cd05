import type { Connection } from './connection.ts'

/** Switches them for the session. What it gives sets them back: by their value, as MySQL takes DEFAULT for 0. */
export async function switchForeignKeyChecks(connection: Connection, to: 0 | 1): Promise<() => Promise<void>> {
  const before = await connection.value('SELECT @@SESSION.foreign_key_checks')
  const set = async (value: 0 | 1): Promise<void> => void (await connection.query(`SET SESSION foreign_key_checks=${value}`))
  await set(to)
  return () => set(before === '0' ? 0 : 1)
}
