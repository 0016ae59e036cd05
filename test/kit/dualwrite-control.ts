import { join } from 'node:path'
import { ApiClient } from '../../src/api/client.ts'
import type { ActionView, WorkflowView } from '../../src/api/schemas.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { nothingIsMade } from '../../src/change/testkit/office.ts'
import { startControl } from '../../src/control/control.ts'
import { findPort } from '../../src/local/find-port.ts'
import type { Store } from '../../src/topology/store.ts'
import { Final, until } from './until.ts'

export type TestControl = { readonly client: ApiClient; readonly apiUrl: string; readonly stop: () => Promise<void> }

/** A controller in this process, of servers that others have started. */
export async function controlOfAttached(of: {
  readonly store: Store
  readonly dir: string
  readonly flavour: 'mariadb' | 'mysql'
  readonly holder: string
}): Promise<TestControl> {
  const port = await findPort(0)
  const control = await startControl({
    store: of.store,
    provisioner: nothingIsMade,
    flavour: of.flavour,
    clock: systemClock,
    log: silentLog,
    holder: of.holder,
    host: '127.0.0.1',
    port,
    version: 'test',
    consoleDir: join(of.dir, 'no-console'),
    leaseMs: 3000,
  })
  const apiUrl = `http://127.0.0.1:${port}`
  return { client: new ApiClient({ baseUrl: apiUrl }), apiUrl, stop: () => control.stop() }
}

/** At the limit the error has what the run and its fleets said last. */
export async function untilRunIs(
  client: ApiClient,
  show: () => Promise<WorkflowView>,
  state: WorkflowView['state'],
  limitMs: number,
): Promise<WorkflowView> {
  let last: WorkflowView | null = null
  const look = async (): Promise<WorkflowView | null> => {
    last = await show()
    if (last.state === 'failed') throw new Final(`it failed: ${last.journal.at(-1)?.text}`)
    return last.state === state ? last : null
  }
  try {
    return await until(`the run to be ${state}`, look, limitMs)
  } catch (error) {
    const fleets = await client.call('listFleets').catch(() => [])
    const said = last as WorkflowView | null
    const told = [
      `it is ${said?.state}, filled: ${JSON.stringify(said?.dualwrite?.coverage)}`,
      ...(said?.journal.slice(-5).map((one) => one.text) ?? []),
    ]
    throw new Error([String(error), ...told, ...fleets.map((fleet) => JSON.stringify(fleet))].join('\n  '), { cause: error })
  }
}

/** What an action failed by. */
export function said({ errors }: ActionView): string {
  return errors.map(({ code, what }) => `${code} ${what}`).join('; ')
}

/** Asked again while the control process has not looked yet at what it must know: it has just begun, or the branch has just changed. */
export function untilKnown(act: () => Promise<ActionView>): Promise<ActionView> {
  return until('what it must know to be known', async () => {
    const action = await act()
    if (action.state === 'done') return action
    if (!said(action).includes('is not known yet')) throw new Final(`${action.verb} failed: ${said(action)}`)
    return null
  })
}
