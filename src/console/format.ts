/** Values as a person reads them. What is null is said to be unknown, never shown as zero (promise 6). */
export const unknown = 'unknown'

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

export function count(value: number | null): string {
  return value === null ? unknown : grouped.format(value)
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`
}

export function perSecond(value: number | null): string {
  return value === null ? unknown : `${grouped.format(value)}/s`
}

export function bytes(value: number | null): string {
  if (value === null) return unknown
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let size = value
  let unit = 0
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024
    unit++
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit] ?? ''}`
}

/** A length of time with two figures that matter: `84 ms`, `1.2 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(ms: number | null): string {
  if (ms === null) return unknown
  if (ms === 0) return '0 ms'
  if (ms < 9.95) return `${ms.toFixed(1)} ms`
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
  return `${Math.round(minutes / 1440)} days`
}

/** A whole share is only said when all is done: 99.97 % is `99.9 %`. */
export function percent(share: number | null): string {
  if (share === null) return unknown
  if (share >= 1) return '100 %'
  return `${(Math.floor(share * 1000) / 10).toFixed(1)} %`
}

export function clockTime(atMs: number): string {
  return new Date(atMs).toLocaleTimeString('en-GB')
}
