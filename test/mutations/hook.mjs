// Loaded before everything else in a mutated run (and, by NODE_OPTIONS, in every process that it starts): one file of the sources is
// read with some of its text replaced. The file itself stays as it is.
import { registerHooks } from 'node:module'
import { pathToFileURL } from 'node:url'

const { file, edits } = JSON.parse(process.env.SHARDWRIGHT_MUTATION)
const url = pathToFileURL(file).href

registerHooks({
  load(asked, context, nextLoad) {
    const loaded = nextLoad(asked, context)
    if (asked !== url) return loaded
    const source = edits.reduce((text, [from, to]) => text.replace(from, () => to), String(loaded.source))
    return { ...loaded, source }
  },
})
