export const consoleTable = (t) => {
  const w = Math.max(...t.rows.map((r) => r.name.length))
  return `\n${t.title} (${t.unit}; ${t.base} = 1)\n` +
    t.rows.map((r) =>
      `  ${r.name.padEnd(w)} ${r.median.toFixed(2).padStart(8)} [${r.min.toFixed(2)}–${r.max.toFixed(2)}] ${
        r.nanos.toFixed(0)
      } ns ${r.note ?? ""}`
    ).join("\n")
}
export const page = () => ""
