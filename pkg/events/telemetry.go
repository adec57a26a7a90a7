package events

import "time"

// TelemetryAggregated is one sensor's minute. A higher revision of the same window replaces the lower one.
type TelemetryAggregated struct {
	Sensor      string    `json:"sensor"`
	Site        string    `json:"site"`
	Zone        string    `json:"zone"`
	Unit        string    `json:"unit"`
	WindowStart time.Time `json:"window_start"`
	WindowEnd   time.Time `json:"window_end"`
	Count       int64     `json:"count"`
	Min         float64   `json:"min"`
	Max         float64   `json:"max"`
	Mean        float64   `json:"mean"`
	Sum         float64   `json:"sum"`
	Last        float64   `json:"last"`
	Revision    int       `json:"revision"`
}

// EventName implements Payload.
func (TelemetryAggregated) EventName() string { return "telemetry.aggregated" }

// EventVersion implements Payload.
func (TelemetryAggregated) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p TelemetryAggregated) AggregateID() string { return p.Sensor }

// TelemetryAnomalyDetected says that a sensor is not as it should be.
type TelemetryAnomalyDetected struct {
	Sensor   string    `json:"sensor"`
	Site     string    `json:"site"`
	Zone     string    `json:"zone"`
	Unit     string    `json:"unit"`
	At       time.Time `json:"at"`
	Value    float64   `json:"value"`
	Rule     string    `json:"rule"`
	Limit    float64   `json:"limit"`
	Severity string    `json:"severity"`
	Detail   string    `json:"detail"`
}

// EventName implements Payload.
func (TelemetryAnomalyDetected) EventName() string { return "telemetry.anomaly_detected" }

// EventVersion implements Payload.
func (TelemetryAnomalyDetected) EventVersion() int { return 1 }

// AggregateID implements Payload.
func (p TelemetryAnomalyDetected) AggregateID() string { return p.Sensor }
