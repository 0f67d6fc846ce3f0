/** Programs that are configured as a test says. */
import type { CacheBackend } from "effect-caching/Backend"
import * as CacheConfig from "effect-caching/CacheConfig"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Layer from "effect/Layer"

export type Settings = Readonly<Record<string, string>>

export const providerOf = (settings: Settings): ConfigProvider.ConfigProvider =>
  ConfigProvider.fromMap(new Map(Object.entries(settings)))

/** The layer, by default that of the configuration, with these settings and no others. */
export const configured = <E>(
  settings: Settings,
  layer: Layer.Layer<CacheBackend, E> = CacheConfig.layer as Layer.Layer<CacheBackend, any>
): Layer.Layer<CacheBackend, E> => Layer.fresh(layer).pipe(Layer.provide(Layer.setConfigProvider(providerOf(settings))))
