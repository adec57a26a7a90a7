import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { sensors as sensorsQuery } from '../../api/sensors';
import { useFailure } from '../../api/use-failure';
import { text } from '../../text';
import { Card } from '../../ui/card';
import { PageHeader } from '../../ui/page-header';
import { Skeleton } from '../../ui/skeleton';
import { Empty, Failed } from '../../ui/state';
import styles from './sensors-page.module.css';
import { ZoneCard } from './zone-card';
import { zonesOf } from './zones';

const t = text.sensors;

/** /sensors: what devices report, by zone. */
export function SensorsPage() {
  const query = useQuery(sensorsQuery);
  const [placeholders] = useState([1, 2]);
  const failure = useFailure(query);
  if (failure) return <Failed title={t.failed} error={failure} retry={() => void query.refetch()} />;
  const zones = query.data && zonesOf(query.data.items);
  return (
    <>
      <PageHeader title={t.title} lead={t.lead} />
      {zones?.length === 0 ? (
        <Empty title={t.empty}>
          <p>{t.emptyHint}</p>
          <code className={styles.command}>{t.emptyCommand}</code>
        </Empty>
      ) : (
        <div role="group" className={styles.zones} aria-busy={!zones} aria-label={zones ? undefined : t.loading}>
          {zones
            ? zones.map((zone) => <ZoneCard key={zone.id} zone={zone} />)
            : placeholders.map((n) => (
                <Card key={n} title={t.loading}>
                  <div className={styles.place}>
                    <Skeleton width="60%" />
                  </div>
                </Card>
              ))}
        </div>
      )}
      {query.data && query.data.bad_frames > 0 && <p className={styles.bad}>{t.bad(query.data.bad_frames)}</p>}
    </>
  );
}
