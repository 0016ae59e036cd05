/** Amounts as people read them. */
import type { Amount } from './figures.ts'

export const day = 86_400
export const hour = 3600

export function durationText(seconds: Amount): string {
  if (typeof seconds === 'string') return seconds === 'unbounded' ? 'never' : 'unknown'
  if (seconds < 0) return `-${durationText(-seconds)}`
  if (seconds < 60) return `${round(seconds)} s`
  if (seconds < hour) return `${round(seconds / 60)} min`
  if (seconds < 2 * day) return `${round(seconds / hour)} h`
  return `${round(seconds / day)} d`
}

/** The same for how long something is kept, where no end is `for ever`. */
export function retentionText(seconds: Amount): string {
  return seconds === 'unbounded' ? 'for ever' : durationText(seconds)
}

const steps = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

export function bytesText(bytes: Amount): string {
  if (typeof bytes === 'string') return bytes
  let value = bytes
  let step = 0
  while (Math.abs(value) >= 1024 && step < steps.length - 1) {
    value /= 1024
    step++
  }
  return `${round(value)} ${steps[step] ?? ''}`
}

export function rateText(perSecond: Amount, what = ''): string {
  if (typeof perSecond === 'string') return perSecond
  return `${round(perSecond)}${what}/s`
}

export function timesText(times: Amount): string {
  return typeof times === 'string' ? times : `${round(times)}×`
}

/** Three figures, or two places: 5.1, 142, 0.04. */
export function round(value: number): string {
  const size = Math.abs(value)
  if (size >= 1000) return Math.round(value).toLocaleString('en-US')
  if (size >= 100) return value.toFixed(0)
  if (size >= 1) return trim(value.toFixed(1))
  return trim(value.toFixed(2))
}

function trim(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text
}
