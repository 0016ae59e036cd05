import { plural } from '../format.ts'
import type { RingShard } from '../ring-model.ts'
import { serverText, sideText, versionText } from '../shard-text.ts'
import { ScrollBox } from './scroll-box.tsx'

type TableProps = { readonly shards: readonly RingShard[]; readonly picked: string | null; readonly onPick: (shard: string | null) => void }

/** The ring in words. */
export function ShardTable({ shards, picked, onPick }: TableProps) {
  return (
    <ScrollBox label="shards">
      <table class="shards">
        <caption class="hidden">{plural(shards.length, 'shard')}</caption>
        <thead>
          <tr>
            <th scope="col">shard</th>
            <th scope="col">side</th>
            <th scope="col">server</th>
          </tr>
        </thead>
        <tbody>
          {shards.map((shard) => (
            <tr
              key={shard.name}
              class={picked === shard.name ? 'picked' : ''}
              onPointerEnter={() => onPick(shard.name)}
              onPointerLeave={() => onPick(null)}
            >
              <th scope="row">
                <span class={`dot phase-${shard.phase} ${shard.role === 'serving' ? 'solid' : ''}`} /> {shard.name}
              </th>
              <td>{sideText(shard)}</td>
              <td class="muted" title={versionText(shard)}>
                {serverText(shard)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollBox>
  )
}
