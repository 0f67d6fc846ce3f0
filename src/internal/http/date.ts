/**
 * HTTP dates (RFC 9110 §5.6.7): three formats, read as they are specified and not otherwise.
 */
const months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
const day = "(?:mon|tue|wed|thu|fri|sat|sun)"
const longDay = "(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
const month = `(${months.join("|")})`
const time = "(\\d{2}):(\\d{2}):(\\d{2})"

const imfFixdate = new RegExp(`^${day}, (\\d{2}) ${month} (\\d{4}) ${time} gmt$`, "i")
const rfc850 = new RegExp(`^${longDay}, (\\d{2})-${month}-(\\d{2}) ${time} gmt$`, "i")
const asctime = new RegExp(`^${day} ${month} ([ \\d]\\d) ${time} (\\d{4})$`, "i")

/** The instant, or `undefined` for anything that is no HTTP date. `now` settles years of two digits. */
export const parseDate = (text: string | undefined, now: number): number | undefined => {
  if (text === undefined) return undefined
  let match = imfFixdate.exec(text)
  if (match !== null) return instantOf(match[3]!, match[2]!, match[1]!, match.slice(4))
  match = rfc850.exec(text)
  if (match !== null) {
    const century = Math.floor(new Date(now).getUTCFullYear() / 100) * 100
    const year = century + Number(match[3])
    // More than 50 years in the future is the past year with those digits.
    const at = year > new Date(now).getUTCFullYear() + 50 ? year - 100 : year
    return instantOf(String(at), match[2]!, match[1]!, match.slice(4))
  }
  match = asctime.exec(text)
  return match === null ? undefined : instantOf(match[6]!, match[1]!, match[2]!, match.slice(3, 6))
}

const instantOf = (
  year: string,
  monthName: string,
  dayOfMonth: string,
  clock: ReadonlyArray<string>
): number | undefined => {
  const [hours, minutes, seconds] = clock.map(Number) as [number, number, number]
  const date = Number(dayOfMonth)
  const at = months.indexOf(monthName.toLowerCase())
  if (hours > 23 || minutes > 59 || seconds > 60) return undefined
  const instant = new Date(0)
  instant.setUTCFullYear(Number(year), at, date)
  if (instant.getUTCMonth() !== at || instant.getUTCDate() !== date) return undefined
  return instant.setUTCHours(hours, minutes, seconds)
}

/** As IMF-fixdate. */
export const formatDate = (instant: number): string => new Date(instant).toUTCString()
