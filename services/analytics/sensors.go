package analytics

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// SensorView is a sensor as the console shows it.
type SensorView struct {
	Sensor    string        `json:"sensor"`
	Site      string        `json:"site"`
	Zone      string        `json:"zone"`
	Device    string        `json:"device"`
	Unit      string        `json:"unit"`
	Value     float64       `json:"value" doc:"the newest reading"`
	At        time.Time     `json:"at" doc:"when it was read"`
	Windows   []WindowView  `json:"windows" nullable:"false" doc:"the newest minutes, oldest first; the last may be open (revision 0)"`
	Anomalies []AnomalyView `json:"anomalies" nullable:"false" doc:"of the last day, newest first"`
}

// WindowView is a minute of a sensor.
type WindowView struct {
	Start    time.Time `json:"start"`
	Count    int64     `json:"count"`
	Min      float64   `json:"min"`
	Max      float64   `json:"max"`
	Mean     float64   `json:"mean"`
	Revision int       `json:"revision"`
}

// AnomalyView is an anomaly of a sensor.
type AnomalyView struct {
	At       time.Time `json:"at"`
	Rule     string    `json:"rule"`
	Value    float64   `json:"value"`
	Limit    float64   `json:"limit"`
	Severity string    `json:"severity"`
	Detail   string    `json:"detail"`
}

const (
	windowsShown   = 60
	anomaliesSince = 24 * time.Hour
)

// Sensors lists all sensors with their newest minutes and anomalies.
func (s *Store) Sensors(ctx context.Context) ([]SensorView, error) {
	rows, err := s.db.Pool().Query(ctx, `SELECT sensor, site, zone, device, unit, last_value, newest_at FROM sensors ORDER BY sensor`)
	if err != nil {
		return nil, fmt.Errorf("list sensors: %w", err)
	}
	list := []SensorView{}
	at := map[string]int{}
	var v SensorView
	if _, err := pgx.ForEachRow(rows, []any{&v.Sensor, &v.Site, &v.Zone, &v.Device, &v.Unit, &v.Value, &v.At}, func() error {
		v.At, v.Windows, v.Anomalies = v.At.UTC(), []WindowView{}, []AnomalyView{}
		at[v.Sensor] = len(list)
		list = append(list, v)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("list sensors: %w", err)
	}
	rows, err = s.db.Pool().Query(ctx, `
		SELECT s.sensor, w.start, w.count, w.min, w.max, w.sum, w.revision FROM sensors s
		CROSS JOIN LATERAL (SELECT * FROM windows w WHERE w.sensor = s.sensor ORDER BY start DESC LIMIT $1) w ORDER BY s.sensor, w.start`, windowsShown)
	if err != nil {
		return nil, fmt.Errorf("list sensor minutes: %w", err)
	}
	var id string
	var w WindowView
	var sum float64 // divided here: in SQL the mean of tiny readings is an error
	if _, err := pgx.ForEachRow(rows, []any{&id, &w.Start, &w.Count, &w.Min, &w.Max, &sum, &w.Revision}, func() error {
		w.Start, w.Mean = w.Start.UTC(), sum/float64(w.Count)
		list[at[id]].Windows = append(list[at[id]].Windows, w)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("list sensor minutes: %w", err)
	}
	rows, err = s.db.Pool().Query(ctx, `
		SELECT a.sensor, a.at, a.rule, a.value, a."limit", a.severity, a.detail FROM anomalies a JOIN sensors s USING (sensor)
		WHERE a.at > s.newest_at - $1::interval ORDER BY a.at DESC LIMIT 500`, anomaliesSince)
	if err != nil {
		return nil, fmt.Errorf("list anomalies: %w", err)
	}
	var a AnomalyView
	if _, err := pgx.ForEachRow(rows, []any{&id, &a.At, &a.Rule, &a.Value, &a.Limit, &a.Severity, &a.Detail}, func() error {
		a.At = a.At.UTC()
		if i, ok := at[id]; ok {
			list[i].Anomalies = append(list[i].Anomalies, a)
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("list anomalies: %w", err)
	}
	return list, nil
}
