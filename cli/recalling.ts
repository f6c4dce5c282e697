/** Documents that an index or a manifest names are read once: what an earlier command saw is not asked for again. */
import { collect } from "../registry/source.ts";
import { readAll } from "../registry/image.ts";
