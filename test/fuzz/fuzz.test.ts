/** No input ends the process or hangs it; time to read a text grows as the text does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cpuMsOf } from '../kit/cpu-time.ts'
import { fuzz } from './fuzz.ts'
import { grown } from './grown.ts'
import { readAll, repeated } from './texts.ts'

test('promise 10: texts, packets, hostile clients and a hostile server end one connection at most', { timeout: 120_000 }, async () => {
  let rounds = 0
  const report = await fuzz({ seed: 11, untilMs: () => rounds++ >= 2 })
  assert.deepEqual(report.findings, [])
  assert.ok(report.attacks >= 20)
})

test('a text ten times as long takes about ten times as long to read, whatever is repeated in it', { timeout: 120_000 }, () => {
  const cpuMs = (text: string): number => cpuMsOf(() => readAll(text))
  const slow: string[] = []
  const compare = (name: string, of: (times: number) => string): void => {
    readAll(of(1))
    // 100 times between the first and the last for something quadratic; below 50 ms nothing can be told.
    // Each text is another one: plans are kept by their text.
    const short = Math.max(cpuMs(of(5)), cpuMs(of(6)) / 1.2)
    let long = cpuMs(of(50))
    // On a busy machine the same work may take several times as long, of the processor too: what is quadratic is so each time.
    for (let again = 1; again < 4 && long > 50 && long > 40 * Math.max(short, 5); again++) long = Math.min(long, cpuMs(of(50 + again)))
    if (long > 50 && long > 40 * Math.max(short, 5)) slow.push(`${name}: ${short.toFixed(1)} ms, ten times as long ${long.toFixed(1)} ms`)
  }
  for (const [head, part, tail] of repeated)
    compare(`${head}${part}…`, (times) => head + part.repeat(Math.floor((times * 4_000) / part.length)) + tail)
  for (const [name, of] of Object.entries(grown)) compare(name, (times) => of(times * 100))
  assert.deepEqual(slow, [])
})
