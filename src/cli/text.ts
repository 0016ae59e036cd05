/** Text for people: tables, durations, counts. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  return [line(head), line(widths.map((width) => '─'.repeat(width))), ...rows.map(line)]
}

export function duration(ms: number | null): string {
  if (ms === null) return 'unknown'
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`
  const seconds = Math.floor(ms / 1000)
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`
  const hours = Math.floor(minutes / 60)
  return hours < 72 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** With two figures that matter, by powers of 1,024 as flags take them. */
export function bytes(n: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  const unit = n < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(n) / 10))
  const size = n / 1024 ** unit
  return `${unit === 0 || size >= 100 ? count(Math.round(size)) : size.toFixed(1)} ${units[unit] ?? ''}`
}

export function count(n: number): string {
  return n.toLocaleString('en-US')
}

/** `whole`: nothing is left: not before that is it 100 %, however low the estimate was. */
export function percent(done: number, all: number, whole = true): string {
  if (all <= 0) return 'unknown'
  return `${Math.min(whole ? 100 : 99, Math.floor((done / all) * 100))} %`
}

export function clockTime(ms: number): string {
  return new Date(ms).toISOString().slice(11, 23)
}

/** `30s`, `500ms`, `2m`, `1h`, or plain seconds, as Vitess's flags take them. Null when it is none of these. */
export function parseDuration(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text.trim())
  if (match === null) return null
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2] ?? 's'] ?? 1000
  return Math.round(Number(match[1]) * unit)
}

/** `20M`, `512k`, `1.5G`, `1048576`: bytes, by powers of 1,024. Null for anything else. */
export function parseBytes(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)([kmg])?i?b?$/i.exec(text.trim())
  if (match === null) return null
  const unit = { k: 1024, m: 1024 ** 2, g: 1024 ** 3 }[(match[2] ?? '').toLowerCase()] ?? 1
  return Math.round(Number(match[1]) * unit)
}

type Resumed = {
  readonly rowsRedone: number
  readonly transactionsRedone: number
  readonly changesRedone: number | null
  readonly round: { readonly transactions: number } | null
}

/** What a resume did again, in rows of the copy and transactions of the tail. */
export function resumedText({ rowsRedone, transactionsRedone, changesRedone, round }: Resumed, rowsOfCopy: number): string {
  const share = rowsOfCopy > 0 ? ` (${((100 * rowsRedone) / rowsOfCopy).toFixed(2)} % of the copy)` : ''
  const changes = changesRedone === null ? '' : ` (${changesRedone} row changes)`
  const of = round === null ? '' : `, of a round of ${round.transactions}`
  return `taken up again where it stood: ${rowsRedone} rows${share} and ${transactionsRedone} transactions${changes} done again${of}`
}
