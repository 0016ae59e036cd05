/** Rounds of the three fuzzers until the time is over; findings, each once by what happened and where. */
import { Random } from '../models/random.ts'
import { fuzzPackets } from './packets.ts'
import { SessionFuzz } from './session.ts'
import { fuzzTexts } from './texts.ts'

export type Finding = { readonly target: string; readonly what: string; readonly input: string }
export type FuzzReport = {
  readonly texts: number
  readonly packets: number
  readonly attacks: number
  readonly findings: readonly Finding[]
}

const findingsMax = 20

export async function fuzz(options: { seed: number; untilMs: () => boolean; progress?: (line: string) => void }): Promise<FuzzReport> {
  const findings = new Map<string, Finding>()
  const found = (finding: Finding): void => {
    const key = `${finding.target} ${finding.what.split('\n').slice(0, 2).join(' ')}`
    if (findings.has(key)) return
    findings.set(key, finding)
    options.progress?.(`${finding.target}: ${finding.what}\n  ${finding.input}`)
  }
  const counts = { texts: 0, packets: 0, attacks: 0 }
  await using session = await SessionFuzz.start(found)
  for (let round = 0; !options.untilMs() && findings.size < findingsMax; round++) {
    const random = new Random(options.seed * 1_000_003 + round)
    counts.texts += fuzzTexts(random, found)
    counts.packets += fuzzPackets(random, found)
    counts.attacks += await session.round(random)
  }
  return { ...counts, findings: [...findings.values()] }
}
