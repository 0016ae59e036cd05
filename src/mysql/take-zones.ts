/**
 * A server that was just made knows no zone by its name, where the one in whose place it is to serve has tables of them: there `SET time_zone = 'Europe/Berlin'` would fail and CONVERT_TZ() be NULL. It gets that one's
 * tables as they are, so that both know the same zones by the same rules.
 */
import type { Connection } from './connection.ts'

/** In this order, so that names come last: whose names are there has all of it. Each with its columns, those that are text as literals. */
const tables: readonly { readonly name: string; readonly columns: readonly string[]; readonly texts: readonly string[] }[] = [
  { name: 'time_zone_leap_second', columns: ['Transition_time', 'Correction'], texts: [] },
  { name: 'time_zone', columns: ['Time_zone_id', 'Use_leap_seconds'], texts: ['Use_leap_seconds'] },
  {
    name: 'time_zone_transition_type',
    columns: ['Time_zone_id', 'Transition_type_id', 'Offset', 'Is_DST', 'Abbreviation'],
    texts: ['Abbreviation'],
  },
  { name: 'time_zone_transition', columns: ['Time_zone_id', 'Transition_time', 'Transition_type_id'], texts: [] },
  { name: 'time_zone_name', columns: ['Name', 'Time_zone_id'], texts: ['Name'] },
]

/** Of one statement. */
const textMax = 1024 * 1024

/** Nothing is done where the server knows names already, or the other one knows none. Repeatable. Both connections are administrators' and of our own. */
export async function takeZones(from: Connection, to: Connection): Promise<void> {
  const counted = 'SELECT COUNT(*) FROM mysql.time_zone_name'
  if ((await from.value(counted)) === '0' || (await to.value(counted)) !== '0') return
  await from.query('SET SESSION group_concat_max_len = 16777216')
  // Of this server alone, as its accounts are.
  await to.query('SET SESSION sql_log_bin = 0')
  for (const { name, columns, texts } of tables) {
    const values = columns.map((column) => (texts.includes(column) ? `QUOTE(\`${column}\`)` : `\`${column}\``)).join(", ',', ")
    // A row of the answer a zone: there are a hundred thousand transitions.
    const group = columns.includes('Time_zone_id') ? 'GROUP BY Time_zone_id' : 'HAVING COUNT(*) > 0'
    const rows = await from.allText(`SELECT GROUP_CONCAT('(', ${values}, ')') AS v FROM mysql.${name} ${group}`)
    const insert = `REPLACE INTO mysql.${name} (${columns.map((column) => `\`${column}\``).join(', ')}) VALUES `
    let text = ''
    for (const { v } of rows) {
      text += `${text === '' ? insert : ','}${v ?? ''}`
      if (text.length < textMax) continue
      await to.query(text)
      text = ''
    }
    if (text !== '') await to.query(text)
  }
}
