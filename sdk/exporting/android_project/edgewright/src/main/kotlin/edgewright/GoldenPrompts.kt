package edgewright

import edgewright.EdgewrightException.Reason
import org.json.JSONArray
import org.json.JSONException

/**
 * How many golden cases of a model that writes or translates there are. Throws of the first whose prompt has other tokens than in
 * Python; what follows it is not held, since kernels of other processors turn near ties another way.
 */
internal fun prompts(vectors: Asset, settings: Settings, tokenizer: Tokenizer): Int = try {
    val cases = JSONArray(vectors.text())
    for (at in 0 until cases.length()) {
        val case = cases.getJSONObject(at)
        val mine = tokenizer.encode(settings.prompt + case.getString("text")).ids.joinToString(",")
        if (mine != case.getJSONArray("ids").getJSONArray(0).join(",")) fail(Reason.GOLDEN, "golden case ${at + 1} has other token ids than in Python")
    }
    cases.length()
} catch (error: JSONException) {
    fail(Reason.ALTERED, "vectors.json is not what was exported: ${error.message}", error)
}
