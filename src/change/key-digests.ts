/**
 * Values of a key that no index gives in order (key-parts.ts): each source is read once, sorted by digests of what the key compares, and digests that two sources have are looked
 * at again. A server makes weights of text in its own way, so this is for sources of one flavour and version. Sorting is the source's work: each reading is ended by the server when the time for it is over.
 */
import { isServerError } from '../mysql/errors.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import type { TableInfo, TableKey } from '../mysql/table-info.ts'
import { quoteQualified } from '../sql/quote.ts'
import { lookAgainMs, note, samplesMax, type Collision, type Found, type MergeSource, type Pair, type Until } from './key-collisions.ts'
import { comparedParts, digestSql, notNullSql, shownTogetherSql, type ComparedPart } from './key-parts.ts'

/** The server has ended it: MySQL and MariaDB. */
const timeIsOver = [3024, 1969]

/** A look is a scan of the table: one that meets values that are on their way between two shards meets others. */
const looks = 2

/** A server has made none of a value: equal ones would not be met. */
class NoDigest extends Error {}

type Reading = { readonly source: MergeSource; readonly digests: AsyncIterator<string>; now: string | null }

/** The findings, or why these values cannot be looked up. */
export async function collisionsOfDigests(pairs: readonly Pair[], table: TableInfo, key: TableKey, until: Until): Promise<Found | string> {
  if (until.clock.monotonicMs() >= until.atMs) return unseenAll(pairs)
  const sources = [...new Set(pairs.flat())]
  const [first] = sources
  if (first === undefined) return { collisions: [], unseen: [] }
  if (new Set(sources.map(({ connection }) => `${connection.flavour} ${connection.versionNumber}`)).size > 1)
    return 'the sources are servers of several versions, which do not weigh values alike'
  const parts = await comparedParts(first.connection, table, key)
  if (parts === null) return 'its values cannot be read'
  const unlimited = sources.map(
    ({ connection }) =>
      () =>
        connection.query(flavourOf(connection).statementLimitSql(0)),
  )
  let found: Found | string
  try {
    found = await lookedUp(pairs, table.name, parts, until)
  } catch (error) {
    // Of a session that is lost, say: what comes of that as well is not what it is told by.
    await Promise.allSettled(unlimited.map((reset) => reset()))
    throw error
  }
  for (const reset of unlimited) await reset()
  return found
}

async function lookedUp(pairs: readonly Pair[], table: string, parts: readonly ComparedPart[], until: Until): Promise<Found | string> {
  try {
    const suspects = await met(pairs, table, parts, until)
    const collisions: Collision[] = []
    for (const [pair, digests] of suspects) {
      const found = await lookedAtAgain(pair, table, parts, digests, until)
      if (found !== null) collisions.push(found)
    }
    return { collisions, unseen: [] }
  } catch (error) {
    if (error instanceof NoDigest) return 'some of its values cannot be weighed'
    if (isServerError(error, ...timeIsOver)) return unseenAll(pairs)
    if (!isServerError(error)) throw error
    return error.serverMessage
  }
}

function unseenAll(pairs: readonly Pair[]): Found {
  return { collisions: [], unseen: pairs.map(([one, other]) => ({ one, other })) }
}

async function met(pairs: readonly Pair[], table: string, parts: readonly ComparedPart[], until: Until): Promise<Map<Pair, string[]>> {
  const suspects = new Map<Pair, string[]>(pairs.map((pair) => [pair, []]))
  const readings: Reading[] = []
  try {
    for (const source of new Set(pairs.flat())) {
      const digests = sorted(source, table, parts, until)
      readings.push({ source, digests, now: null })
    }
    await Promise.all(readings.map(next))
    for (let open = readings; open.length > 1; open = readings.filter(({ now }) => now !== null)) {
      const least = open.reduce((a, { now }) => (now !== null && now < a ? now : a), open[0]?.now ?? '')
      const equal = open.filter(({ now }) => now === least)
      if (equal.length > 1) note(suspects, equal, least)
      for (const reading of equal) await next(reading)
    }
  } finally {
    // All of them, also where one fails: a reading that goes on would hold up what its session is asked next.
    await Promise.allSettled(readings.map(({ digests }) => digests.return?.()))
  }
  return suspects
}

async function next(reading: Reading): Promise<void> {
  const { done, value } = await reading.digests.next()
  reading.now = done === true ? null : value
}

async function limit({ connection }: MergeSource, { clock, atMs }: Until): Promise<void> {
  await connection.query(flavourOf(connection).statementLimitSql(Math.max(1, Math.ceil(atMs - clock.monotonicMs()))))
}

async function* sorted(source: MergeSource, table: string, parts: readonly ComparedPart[], until: Until): AsyncGenerator<string, void> {
  await limit(source, until)
  const stream = await source.connection.rows(
    `SELECT ${digestSql(parts)} AS d FROM ${quoteQualified(source.schema.name, table)} WHERE ${notNullSql(parts)} ORDER BY d`,
  )
  for await (const batch of stream) {
    for (let row = 0; row < batch.length; row++) {
      const digest = batch.cell(row, 0)
      if (digest === null) throw new NoDigest()
      yield digest.toString('latin1')
    }
  }
}

/** As they are shown. */
async function lookedAtAgain(
  [one, other]: Pair,
  table: string,
  parts: readonly ComparedPart[],
  digests: readonly string[],
  until: Until,
): Promise<Collision | null> {
  let left = digests
  let shown: string[] = []
  for (let look = 0; look < looks && left.length > 0; look++) {
    await until.clock.sleep(lookAgainMs)
    for (const source of [one, other]) {
      if (left.length === 0) break
      await limit(source, until)
      const rows = await source.connection.allText(
        `SELECT ${digestSql(parts)} AS d, ${shownTogetherSql(parts.map((part) => part.shown))} AS v FROM ${quoteQualified(source.schema.name, table)}
          WHERE ${notNullSql(parts)} HAVING d IN (${left.map((digest) => `'${digest}'`).join(', ')}) LIMIT ${samplesMax}`,
      )
      left = rows.map((row) => row['d'] ?? '')
      shown = rows.map((row) => row['v'] ?? '')
    }
  }
  return left.length === 0 ? null : { one, other, shown, more: left.length >= samplesMax }
}
