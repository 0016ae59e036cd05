/** One client's outcomes at the server itself and at the gate, told apart. */
import { casesOf, type Database } from './cases.ts'
import { known } from './known.ts'
import type { Client, Ran } from './programs.ts'
import type { ClientWorld } from './world.ts'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type Compared = {
  readonly compared: number
  readonly differences: string[]
  /** Their reasons. */ readonly known: ReadonlySet<string>
}

export async function compareClient(client: Client, world: ClientWorld, tls: boolean, database: Database = 'app'): Promise<Compared> {
  const dir = mkdtempSync(join(tmpdir(), 'sw-client-'))
  try {
    const place = { tls: tls ? world.certificates.caFile : null, dir, database, cases: casesOf(database) }
    const direct = await client.run({ ...place, port: world.directPort, direct: true })
    const gate = await client.run({ ...place, port: await world.gatePort(), direct: false })
    const reasons = new Set<string>()
    const differences = differencesOf(direct, gate).filter((difference) => {
      const one = known.find(
        (k) => (k.on.includes(world.flavour) || k.on.includes(database)) && k.clients.test(client.name) && k.about.test(difference),
      )
      if (one !== undefined) reasons.add(one.why)
      return one === undefined
    })
    return { compared: direct.told.length, differences, known: reasons }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

const loose = new Set(
  casesOf('app')
    .filter((one) => one.loose === true)
    .map((one) => one.id),
)

export function differencesOf(direct: Ran, gate: Ran): string[] {
  const out: string[] = []
  if (direct.problem !== null) out.push(`at the server itself: ${direct.problem}`)
  if (gate.problem !== null) out.push(`at the gate: ${gate.problem}`)
  if (direct.told.length === 0 && direct.problem === null) out.push('it told nothing')
  if (direct.told.length !== gate.told.length) out.push(`${direct.told.length} outcomes at the server, ${gate.told.length} at the gate`)
  for (const [i, text] of direct.told.entries()) {
    const other = gate.told[i]
    if (other === undefined || text === other) continue
    const [a, b] = [parsed(text), parsed(other)]
    if (a === null || b === null) {
      out.push(firstDifference(text, other))
      continue
    }
    const id = `${String(a['id'])} (${String(a['form'])})`
    if (loose.has(String(a['id']))) {
      for (const one of [a, b]) {
        one['rows'] = (one['rows'] as unknown[] | undefined)?.length
        one['warnings'] = undefined
      }
    }
    for (const name of new Set([...Object.keys(a), ...Object.keys(b)])) {
      const [x, y] = [JSON.stringify(a[name]), JSON.stringify(b[name])]
      if (x !== y) out.push(`${id} ${name}: ${firstDifference(String(x), String(y))}`)
    }
  }
  return out
}

function parsed(line: string): Record<string, unknown> | null {
  try {
    return JSON.parse(line) as Record<string, unknown>
  } catch {
    return null
  }
}

/** Where they part, with what stands around it. */
function firstDifference(a: string, b: string): string {
  let at = 0
  while (at < a.length && a[at] === b[at]) at++
  const from = Math.max(0, at - 60)
  return `…${a.slice(from, at + 100)}… / …${b.slice(from, at + 100)}…`
}
