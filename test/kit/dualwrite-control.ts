import { join } from 'node:path'
import { ApiClient } from '../../src/api/client.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { nothingIsMade } from '../../src/change/testkit/office.ts'
import { startControl } from '../../src/control/control.ts'
import { findPort } from '../../src/local/find-port.ts'
import type { Store } from '../../src/topology/store.ts'

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
