{{/* What contradicts itself is refused, with the way out. Called once, by checks.yaml. */}}
{{- define "freehold.checks" -}}
{{- $gateway := .Values.gateway -}}
{{- $scaling := $gateway.autoscaling -}}
{{- $database := .Values.database.existingSecret -}}
{{- if not .Values.image.repository -}}
{{- fail "image.repository is empty: Kubernetes runs containers, so name the image made from Containerfile" -}}
{{- end -}}
{{- if $gateway.enabled -}}
{{- if and $scaling.enabled $gateway.replicas -}}
{{- fail (printf "gateway.replicas is %v, and gateway.autoscaling.enabled lets the autoscaler choose: leave one of the two out" $gateway.replicas) -}}
{{- end -}}
{{- if and $scaling.enabled (gt (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- fail (printf "gateway.autoscaling.minReplicas is %v and maxReplicas %v: the first may not be the larger" $scaling.minReplicas $scaling.maxReplicas) -}}
{{- end -}}
{{- $several := or $scaling.enabled (gt (int (include "freehold.replicas" .)) 1) -}}
{{- if and $several (not $database) -}}
{{- fail "several gateways share one PostgreSQL, and database.existingSecret names none: name the secret with its URL, or set gateway.replicas to 1 and gateway.persistence.enabled" -}}
{{- end -}}
{{- if not (or $database $gateway.persistence.enabled) -}}
{{- fail "keys, routes and traces would be gone with the pod: set database.existingSecret, or gateway.persistence.enabled" -}}
{{- end -}}
{{- if and $database $gateway.persistence.enabled -}}
{{- fail "gateway.persistence.enabled is for a SQLite store, and database.existingSecret names a PostgreSQL: leave one of the two out" -}}
{{- end -}}
{{- if and $gateway.persistence.enabled .Values.console.enabled -}}
{{- fail "the console reads the store, and gateway.persistence gives its volume to one pod: set database.existingSecret" -}}
{{- end -}}
{{- $said := regexFind `(?m)^[^#\n]*\bdrain_s["']?\s*=\s*[0-9eE._+-]+` .Values.config -}}
{{- $drain := ternary (regexFind `[0-9eE._+-]+$` $said | replace "_" "" | float64 | ceil | int | max 1) 30 (ne $said "") -}}
{{- if ne (int $gateway.drainSeconds) (int $drain) -}}
{{- fail (printf "gateway.drainSeconds is %v, and by config the gateway gives running answers %v seconds ([serve] drain_s, 30 where nothing is said): say the same in both" $gateway.drainSeconds $drain) -}}
{{- end -}}
{{- $needed := add $gateway.preStopSeconds $gateway.drainSeconds 30 -}}
{{- if lt (int (include "freehold.grace" .)) (int $needed) -}}
{{- fail (printf "gateway.terminationGracePeriodSeconds is %v, and running answers and the last traces may need %v (preStopSeconds + drainSeconds + 30): pods would be killed before" $gateway.terminationGracePeriodSeconds $needed) -}}
{{- end -}}
{{- if and $gateway.withoutKeys .Values.ingress.enabled -}}
{{- fail "gateway.withoutKeys lets everybody ask, and ingress.enabled shows it to the world: leave one of the two out" -}}
{{- end -}}
{{- if and $gateway.withoutKeys .Values.firstKey -}}
{{- fail "gateway.withoutKeys lets everybody ask, and firstKey makes a key: leave one of the two out" -}}
{{- end -}}
{{- if and .Values.firstKey (not $database) -}}
{{- fail "firstKey is made by a job of its own, which cannot reach the gateway's volume: set database.existingSecret, or make the key in the pod (freehold keys add)" -}}
{{- end -}}
{{- else -}}
{{- if or .Values.ingress.enabled .Values.serviceMonitor.enabled .Values.firstKey -}}
{{- fail "ingress, serviceMonitor and firstKey are of the gateway, and gateway.enabled is false" -}}
{{- end -}}
{{- if not (or .Values.engines .Values.console.enabled) -}}
{{- fail "nothing is left to run: gateway.enabled and console.enabled are false, and engines is empty" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.console.enabled (not $database) -}}
{{- fail "the console reads the store, and database.existingSecret names none" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.host is empty: the gateway answers to names that are said" -}}
{{- end -}}
{{- if and .Values.ingress.enabled .Values.networkPolicy.enabled -}}
{{- $others := 0 -}}
{{- range .Values.networkPolicy.gatewayFrom -}}
{{- if or (hasKey . "namespaceSelector") (hasKey . "ipBlock") -}}
{{- $others = add1 $others -}}
{{- end -}}
{{- end -}}
{{- if not $others -}}
{{- fail "ingress.enabled, and the network policy lets only pods of this namespace in: say in networkPolicy.gatewayFrom where the ingress controller runs" -}}
{{- end -}}
{{- end -}}
{{- if .Values.serviceMonitor.enabled -}}
{{- if and (not .Values.serviceMonitor.keySecret) (not $gateway.withoutKeys) -}}
{{- fail "serviceMonitor.keySecret is empty, and /metrics asks for a key that may look: freehold keys add monitoring --role read, and put it into a secret" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.monitoringFrom) -}}
{{- fail "serviceMonitor.enabled, and the network policy lets Prometheus reach nothing: say in networkPolicy.monitoringFrom where it runs" -}}
{{- end -}}
{{- end -}}
{{- range .Values.env -}}
{{- if regexMatch "(?i)(KEY|TOKEN|SECRET|PASSWORD|DATABASE_URL)" .name -}}
{{- fail (printf "env has %s with a value, and values of charts are kept in the cluster as plain text: name a secret in secrets instead" .name) -}}
{{- end -}}
{{- end -}}
{{- $names := list "console" "gateway" -}}
{{- range .Values.engines -}}
{{- if has .name $names -}}
{{- fail (printf "two parts are called %s: engines have names of their own, and gateway and console are taken" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- $least := int (default 1 .replicas) -}}
{{- if and .maxReplicas (lt (int .maxReplicas) $least) -}}
{{- fail (printf "engine %s: maxReplicas is %v, fewer than its %v replicas" .name .maxReplicas $least) -}}
{{- end -}}
{{- if and .gpus .maxReplicas (gt (int .maxReplicas) $least) -}}
{{- fail (printf "engine %s: the autoscaler looks at processor load, which says nothing about a GPU: set replicas, and leave maxReplicas out" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
