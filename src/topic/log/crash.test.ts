// The embedded log under crashes, damage, several processes, and copies put back.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { appendFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { isSwError } from '../../base/errors.ts'
import { fromStart, keyed, readAll } from '../conformance.ts'
import { createTopic, openProducer, openTopic } from '../open.ts'
import type { TopicSpec } from '../topic.ts'
import { readEpochs } from './epochs.ts'
import { readState } from './state.ts'

const root = mkdtempSync(join(tmpdir(), 'sw-log-'))
after(() => rmSync(root, { recursive: true }))
let n = 0

async function log(spec: TopicSpec = { partitions: 1 }): Promise<{ dir: string; url: string }> {
  const dir = join(root, `t${++n}`)
  await createTopic(`log://${dir}`, spec)
  return { dir, url: `log://${dir}` }
}

async function put(url: string, first: number, count: number, batch = 10): Promise<void> {
  await using producer = await openProducer(url)
  for (let at = 0; at < count; at += batch) await producer.send(keyed(first + at, Math.min(batch, count - at)))
}

async function values(url: string, count: number): Promise<string[]> {
  await using topic = await openTopic(url)
  const { records } = await readAll(topic, fromStart(topic), count)
  return records.map((record) => String(record.value))
}

const segment = (dir: string, partition = 0): string => {
  const names = readdirSync(join(dir, String(partition))).filter((name) => name.endsWith('.log'))
  return join(dir, String(partition), names.toSorted().at(-1) ?? '')
}

/** A process that sends numbered records and prints each number once it is acknowledged. */
function sender(
  url: string,
  id: string,
  paceMs = 0,
): { acknowledged: Set<string>; kill(): Promise<void>; until(count: number): Promise<void> } {
  const open = new URL('../open.ts', import.meta.url).href
  const code = `import { openProducer } from ${JSON.stringify(open)}
    const producer = await openProducer(${JSON.stringify(url)})
    const one = async (at) => { const text = ${JSON.stringify(id)} + '-' + at
      await producer.send([{ key: Buffer.from(String(at)), value: Buffer.from(text + '.'.repeat(at % 700)) }]); console.log(text) }
    for (let at = 0; ; at += 20) { await Promise.all(Array.from({ length: 20 }, (_, n) => one(at + n))); await new Promise((r) => setTimeout(r, ${paceMs})) }`
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const acknowledged = new Set<string>()
  let rest = ''
  child.stdout.on('data', (data) => {
    const lines = (rest + String(data)).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) acknowledged.add(line)
  })
  const gone = new Promise<void>((resolve) => child.on('close', () => resolve()))
  return {
    acknowledged,
    async kill() {
      child.kill('SIGKILL')
      await gone
    },
    async until(count) {
      const limit = Date.now() + 60_000
      while (acknowledged.size < count) {
        assert.ok(Date.now() < limit && child.exitCode === null, `${id} acknowledged ${acknowledged.size} of ${count}`)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    },
  }
}

describe('embedded log: crashes', () => {
  test('a producer killed at any moment loses nothing that it acknowledged, and the log goes on', async () => {
    const { url } = await log({ partitions: 3, segmentBytes: 40_000 })
    const acknowledged: string[] = []
    for (let round = 0; round < 3; round++) {
      const process_ = sender(url, `r${round}`)
      await process_.until(60 + round * 37)
      await process_.kill()
      acknowledged.push(...process_.acknowledged)
    }
    await put(url, 0, 1)
    await using topic = await openTopic(url)
    const ends = [...(await topic.endOffsets()).values()].reduce((sum, end) => sum + Number(end), 0)
    const { records } = await readAll(topic, fromStart(topic), ends)
    const got = new Set(records.map((record) => String(record.value).replace(/\.+$/, '')))
    assert.equal(records.length, got.size, 'no record twice')
    for (const text of acknowledged) assert.ok(got.has(text), `${text} was acknowledged and is gone`)
  })

  test('several producer processes at once: each keeps its order, no record is lost, doubled or mixed', async () => {
    const { url } = await log({ partitions: 2, segmentBytes: 60_000 })
    const processes = ['a', 'b', 'c'].map((id) => sender(url, id, 3))
    for (const process_ of processes) await process_.until(100)
    for (const process_ of processes) await process_.kill()
    await put(url, 0, 1)
    await using topic = await openTopic(url)
    const ends = [...(await topic.endOffsets()).values()].reduce((sum, end) => sum + Number(end), 0)
    const { records } = await readAll(topic, fromStart(topic), ends, 5_000)
    const texts = records.map((record) => `${record.partition} ${String(record.value).replace(/\.+$/, '')}`)
    assert.equal(new Set(texts).size, texts.length)
    const all = new Set(texts.map((text) => text.slice(2)))
    for (const process_ of processes) for (const text of process_.acknowledged) assert.ok(all.has(text), text)
    for (const partition of [0, 1])
      for (const id of ['a', 'b', 'c']) {
        const order = texts.filter((text) => text.startsWith(`${partition} ${id}-`)).map((text) => Number(text.slice(4)))
        assert.deepEqual(
          order,
          order.toSorted((x, y) => x - y),
          `${id} in partition ${partition}`,
        )
      }
  })

  test('a tail that was torn by a crash is cut off at the last whole batch; what came whole is kept', async () => {
    for (const tail of ['half a batch', 'zeros', 'a whole batch', 'a whole one and a half'] as const) {
      const { dir, url } = await log()
      await put(url, 0, 20)
      const told = readFileSync(join(dir, 'state'))
      const before = statSync(segment(dir)).size
      await put(url, 20, 20)
      const bytes = readFileSync(segment(dir)).subarray(before)
      const half = Math.floor(bytes.length / 2)
      truncateSync(segment(dir), before)
      writeFileSync(join(dir, 'state'), told)
      const kept = { 'half a batch': 0, zeros: 0, 'a whole batch': 10, 'a whole one and a half': 10 }[tail]
      const left = {
        'half a batch': bytes.subarray(0, half - 5),
        zeros: Buffer.alloc(500),
        'a whole batch': bytes.subarray(0, half),
        'a whole one and a half': bytes.subarray(0, bytes.length - 3),
      }[tail]
      appendFileSync(segment(dir), left)
      await put(url, 100, 5)
      const want = [...keyed(0, 20 + kept), ...keyed(100, 5)].map((record) => String(record.value))
      assert.deepEqual(await values(url, want.length), want, tail)
    }
  })

  test('without its state file the end is found by reading; with a torn one too', async () => {
    for (const harm of [(file: string) => rmSync(file), (file: string) => truncateSync(file, 40)]) {
      const { dir, url } = await log({ partitions: 2, segmentBytes: 2_000 })
      await put(url, 0, 200)
      const before = readState(dir)
      harm(join(dir, 'state'))
      await put(url, 200, 10)
      assert.deepEqual(new Set(await values(url, 210)), new Set(keyed(0, 210).map((record) => String(record.value))))
      assert.ok((readState(dir)?.partitions ?? []).every((row, at) => row.end >= (before?.partitions[at]?.end ?? 0n)))
    }
  })

  test('acknowledged records that are gone from the disk, or changed on it, are an error and no shorter log', async () => {
    const cut = await log()
    await put(cut.url, 0, 50)
    truncateSync(segment(cut.dir), statSync(segment(cut.dir)).size - 10)
    await assert.rejects(put(cut.url, 50, 1), (error) => isSwError(error, 'SW-TOPIC-012'))
    const flipped = await log()
    await put(flipped.url, 0, 50)
    const bytes = readFileSync(segment(flipped.dir))
    bytes[Math.floor(bytes.length / 2)] = (bytes[Math.floor(bytes.length / 2)] ?? 0) ^ 1
    writeFileSync(segment(flipped.dir), bytes)
    await assert.rejects(values(flipped.url, 50), (error) => isSwError(error, 'SW-TOPIC-012'))
  })

  test('failure lore, a message log truncated and regrown: a copy put back and filled again is noticed, also by a read under way', async () => {
    for (const under of ['a running read', 'a stored position'] as const) {
      const { dir, url } = await log()
      await put(url, 0, 50)
      const copy = `${dir}.copy`
      cpSync(dir, copy, { recursive: true })
      await put(url, 50, 50)
      const topic = await openTopic(url)
      const running = topic.read(fromStart(topic), { bytesMax: 1 << 20, signal: AbortSignal.timeout(60_000) })
      let position = { offset: 0n, leaderEpoch: -1 }
      while (position.offset < 100n) position = (await running.next()).value?.next.get(0) ?? position
      if (under === 'a stored position') await running.return()
      // Once in 4096 times the other history happens upon the same number.
      do {
        rmSync(dir, { recursive: true })
        cpSync(copy, dir, { recursive: true })
        await put(url, 1000, 80)
      } while ((await readEpochs(dir, 0)).some(({ epoch }) => epoch === position.leaderEpoch))
      assert.equal((await topic.endOffsets()).get(0), 130n)
      const reading =
        under === 'a running read'
          ? running
          : topic.read(new Map([[0, position]]), { bytesMax: 1 << 20, signal: AbortSignal.timeout(60_000) })
      await assert.rejects(
        async () => {
          for await (const batch of reading) assert.equal(batch.records.length, 0, 'a record of the other history was handed out')
        },
        (error) => isSwError(error, 'SW-TOPIC-004') && error.params['offset'] === 100n,
        under,
      )
      await topic.close()
    }
  })

  test('retention by bytes removes whole segments and keeps at least that much', async () => {
    const { dir, url } = await log({ partitions: 1, segmentBytes: 3_000, retentionBytes: 10_000n })
    await using producer = await openProducer(url)
    await using topic = await openTopic(url)
    const limit = Date.now() + 60_000
    for (let at = 0; ((await topic.startOffsets()).get(0) ?? 0n) === 0n; at += 20) {
      assert.ok(Date.now() < limit)
      await producer.send(keyed(at, 20))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    const sizes = readdirSync(join(dir, '0'))
      .filter((name) => name.endsWith('.log'))
      .map((name) => statSync(join(dir, '0', name)).size)
    assert.ok(sizes.reduce((sum, size) => sum + size, 0) >= 10_000)
    const start = (await topic.startOffsets()).get(0) ?? 0n
    const end = (await topic.endOffsets()).get(0) ?? 0n
    const { records } = await readAll(topic, new Map([[0, { offset: start }]]), Number(end - start))
    assert.deepEqual([records[0]?.offset, records.at(-1)?.offset], [start, end - 1n])
  })

  test('by time and by offset, the index leads where reading every batch leads', async () => {
    const { dir, url } = await log({ partitions: 1, segmentBytes: 300_000 })
    await using producer = await openProducer(url)
    let seed = 7
    const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below
    const times: number[] = []
    for (let batch = 0; batch < 60; batch++) {
      const records = Array.from({ length: 10 }, () => {
        const timestampMs = 1_000_000 + batch * 100 + random(400)
        times.push(timestampMs)
        return { key: null, value: Buffer.alloc(1_500), partition: 0, timestampMs }
      })
      await producer.send(records)
    }
    await using topic = await openTopic(url)
    assert.ok(readdirSync(join(dir, '0')).filter((name) => name.endsWith('.index') && statSync(join(dir, '0', name)).size > 0).length > 1)
    for (let round = 0; round < 40; round++) {
      const at = 999_900 + random(6_800)
      const want = times.findIndex((time) => time >= at)
      assert.equal((await topic.offsetsAt(at)).get(0), BigInt(want < 0 ? times.length : want), `at ${at}`)
      const offset = BigInt(random(600))
      assert.equal((await readAll(topic, new Map([[0, { offset }]]), 1, 1)).records[0]?.offset, offset)
    }
  })
})
