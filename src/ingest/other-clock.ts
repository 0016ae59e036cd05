/**
 * A definition as it would run at another time, with another chance: for the second of two scratch branches. Two runs one after the other
 * agree about the day and the hour, so that rows which depend on them would be equal by when they were tried, and differ between branches that
 * read a record days apart.
 *
 * Sound because all functions of a definition are synchronous: what stands in the globals is put back before anybody else can see it. What a definition
 * took hold of as it was loaded (`const { now } = Date`), the native clocks (`process.hrtime`), the process's time zone, formats
 * of now by `Intl` and what it asks of the disk are not seen.
 */
import type { TableDefinition, TopicDefinition } from './definition.ts'

/** Another year, month, weekday, hour, minute and second. */
export const otherClockMs = 411 * 86_400_000 + ((7 * 60 + 13) * 60 + 21) * 1000 + 507

export function underOtherClock(definition: TopicDefinition): TopicDefinition {
  return {
    ...definition,
    decode: elsewhere(definition.decode),
    eventTime: elsewhere(definition.eventTime),
    tables: definition.tables.map((table): TableDefinition => ({
      ...table,
      map: elsewhere(table.map),
      eventId: table.eventId === null ? null : elsewhere(table.eventId),
    })),
    previous: definition.previous.map(underOtherClock),
  }
}

function elsewhere<A extends readonly unknown[], R>(work: (...args: A) => R): (...args: A) => R {
  return (...args) => {
    const there = { Date: globalThis.Date, random: Math.random, now: performance.now }
    globalThis.Date = otherDate
    Math.random = () => 1 - Number.EPSILON - there.random()
    performance.now = () => there.now.call(performance) + otherClockMs
    try {
      return work(...args)
    } finally {
      globalThis.Date = there.Date
      Math.random = there.random
      performance.now = there.now
    }
  }
}

const ownDate = Date
const otherNow = (): number => ownDate.now() + otherClockMs
const otherDate: DateConstructor = new Proxy(ownDate, {
  construct: (target, args, as) => Reflect.construct(target, args.length === 0 ? [otherNow()] : args, as) as Date,
  apply: () => new ownDate(otherNow()).toString(),
  get: (target, name) => (name === 'now' ? otherNow : (Reflect.get(target, name) as unknown)),
})
