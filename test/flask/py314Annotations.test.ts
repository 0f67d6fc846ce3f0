/** `test_py314_annotations.py` */
import * as Rows from "./rows.js"
import { describeRows, type NotHere } from "./support.js"

const reason = "types are gone when the program runs: no signature is looked at"

const notHere: ReadonlyArray<NotHere<keyof typeof Rows.py314Annotations>> = [
  { row: "memoize_with_type_checking_annotation", reason },
  { row: "cached_with_type_checking_annotation", reason },
  { row: "memoize_unless_with_type_checking_annotation", reason }
]

describeRows("test_py314_annotations.py", Rows.py314Annotations, notHere, () => {})
